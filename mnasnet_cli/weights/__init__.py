"""Weights from elsewhere: where they are published, fetched, read and written."""
