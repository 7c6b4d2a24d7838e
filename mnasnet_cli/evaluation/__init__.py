"""Scores a model of any format on a validation split."""
