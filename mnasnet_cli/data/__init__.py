"""Input pipelines: from records to batches."""
