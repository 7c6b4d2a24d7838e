"""Converts image data sets to record shards, without TensorFlow."""
