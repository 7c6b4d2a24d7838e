"""Several processes and devices that train together."""
