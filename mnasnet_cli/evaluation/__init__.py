"""Scores a model of any format on a split of records."""
