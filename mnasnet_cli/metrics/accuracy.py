"""Top-1, top-5 and per-class accuracy from per-example results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def summarize_accuracy(outputs: dict[str, np.ndarray], labels: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """Accuracy and loss of a classifier.

    Args:
      outputs: arrays over M examples: "labels" and "predictions" int, "in_top5" bool, "losses" float.
      labels: ids of the C classes, e.g. synsets.
      names: names of the C classes.

    Returns:
      top1 and top5 (fractions), loss (mean cross entropy), examples (M), and per_class: examples and top-1 accuracy of
      each class. Values without examples are None.
    """
    truth, predicted = outputs["labels"], outputs["predictions"]
    correct = truth == predicted
    counts = np.bincount(truth, minlength=len(labels))
    hits = np.bincount(truth[correct], minlength=len(labels))
    return {
        "top1": _mean(correct),
        "top5": _mean(outputs["in_top5"]),
        "loss": _mean(outputs["losses"]),
        "examples": len(truth),
        "per_class": [
            {"class": label, "name": name, "examples": int(count), "top1": float(hit / count) if count else None}
            for label, name, count, hit in zip(labels, names, counts, hits, strict=True)
        ],
    }


def confusion_matrix(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts [C, C] int64: the row is the true class, the column the predicted class."""
    return np.bincount(truth * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def class_scores(counts: np.ndarray) -> list[dict[str, float | None]]:
    """Return precision, recall and F1 of each class from a confusion matrix [C, C] of `confusion_matrix`.

    A precision without predictions, and a recall without examples, is None; F1 then is None or 0.
    """
    hits, true, predicted = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    return [scores_of(*map(int, row)) for row in zip(hits, true, predicted, strict=True)]


def scores_of(hits: int, true: int, predicted: int) -> dict[str, float | None]:
    """Return precision, recall and F1 from counts: correct predictions, examples, and predictions."""
    return {
        "precision": hits / predicted if predicted else None,
        "recall": hits / true if true else None,
        "f1": 2 * hits / (true + predicted) if true else None,
    }


def _mean(values: np.ndarray) -> float | None:
    return float(values.astype(np.float64).mean()) if len(values) else None
