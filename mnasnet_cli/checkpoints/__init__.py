"""Checkpoints: their files and format, and how to read them."""
