"""Record files: their format, keys, shards and summaries. No TensorFlow at import."""
