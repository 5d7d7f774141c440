"""Text and conversations in, batches out."""
