"""The health of a data set: facts of its records, what is odd in them, and reports. No TensorFlow."""
