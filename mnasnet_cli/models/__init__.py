"""Nets to train or run: classifiers, detectors, and what belongs to them."""
