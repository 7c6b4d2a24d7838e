"""Latencies of nets: measured through TFLite, and predicted from parts or from whole nets."""
