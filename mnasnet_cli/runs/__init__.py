"""Run directories: what lies in them, and how to find them."""
