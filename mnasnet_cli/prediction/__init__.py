"""Predictions on the user's images."""
