"""Run directories: their files, and how to find them."""
