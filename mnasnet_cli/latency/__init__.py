"""Latency measurements on this machine and on phones."""
