"""Tracking: TensorBoard events."""
