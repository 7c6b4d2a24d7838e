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


def _mean(values: np.ndarray) -> float | None:
    return float(values.astype(np.float64).mean()) if len(values) else None
