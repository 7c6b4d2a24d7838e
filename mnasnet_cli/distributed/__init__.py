"""Training with several processes and devices."""
