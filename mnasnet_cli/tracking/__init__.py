"""Tracking: what other programs show of a run, TensorBoard and MLflow."""
