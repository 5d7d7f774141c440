"""Plain nn.Modules: no Lightning, no data."""
