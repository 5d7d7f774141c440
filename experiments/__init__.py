"""Configurations and the programs that measure."""
