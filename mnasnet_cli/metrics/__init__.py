"""Accuracy, COCO metrics and plots."""
