"""Search for nets of one latency on the user's device and data."""
