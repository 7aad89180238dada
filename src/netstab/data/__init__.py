"""Images: sources, preparation, batches."""
