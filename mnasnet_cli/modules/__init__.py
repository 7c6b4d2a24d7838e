"""Classifiers and detectors as modules to train or run, and what belongs to them."""
