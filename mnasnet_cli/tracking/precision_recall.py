"""Precision and recall of the predictions above each of 127 scores, for TensorBoard's PR curves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

THRESHOLDS = np.linspace(0.0, 1.0, 127)  # as TensorBoard spaces them


@dataclass(frozen=True)
class Counts:
    """At each threshold, the predictions that score at least as much, and what they miss; all float64 [127]."""

    correct: np.ndarray
    wrong: np.ndarray
    missed: np.ndarray

    @property
    def precision(self) -> np.ndarray:
        """The share of the predictions that is correct; 0 where there are none."""
        return self.correct / np.maximum(self.correct + self.wrong, 1.0)

    @property
    def recall(self) -> np.ndarray:
        """The share of all that was to be found."""
        return self.correct / np.maximum(self.correct + self.missed, 1.0)

    @property
    def best_threshold(self) -> float:
        """The threshold with the highest F1."""
        precision, recall = self.precision, self.recall
        f1 = precision * recall / np.maximum(precision + recall, 1e-9)
        return float(THRESHOLDS[f1.argmax()])


def count_predictions(scores: np.ndarray, correct: np.ndarray, total: int) -> Counts:
    """Count predictions with scores [N] in [0, 1]; `correct` is bool [N], `total` what was to be found."""

    def above(values: np.ndarray) -> np.ndarray:
        return (len(values) - np.searchsorted(np.sort(values), THRESHOLDS, side="left")).astype(np.float64)

    hits = above(scores[correct])
    return Counts(hits, above(scores[~correct]), total - hits)
