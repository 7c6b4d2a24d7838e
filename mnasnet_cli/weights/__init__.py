"""Weights that others published: where they are, how to fetch and read them."""
