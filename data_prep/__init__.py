"""Writers: from image files to record shards, without TensorFlow."""
