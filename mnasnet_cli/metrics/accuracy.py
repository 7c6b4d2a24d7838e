"""Top-1, top-5 and per-class accuracy from per-example results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def summarize_accuracy(outputs: dict[str, np.ndarray], labels: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """The classification summary of the command line's contract.

    Args:
      outputs: arrays over M examples: "labels" and "predictions" int, "in_top5" bool, "losses" float.
      labels: ids of the C classes, such as synsets.
      names: the same classes in words.

    Returns:
      top1, top5 as fractions, loss as the mean cross entropy, examples = M, and per_class: for each class its examples
      and accuracy (None where the split has no example of it).
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
    """Counts [C, C] int64: row is the true class, column the predicted one."""
    return np.bincount(truth * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def _mean(values: np.ndarray) -> float | None:
    return float(values.astype(np.float64).mean()) if len(values) else None
