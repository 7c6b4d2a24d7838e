"""Plots of a classifier's answers: how many are right at a confidence, and the scores of each class."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mnasnet_cli.metrics import plots

PR_FILE, CLASS_FILE = "pr_curves.png", "top1_per_class.png"
BINS = 10  # of confidence


def precision_recall(confidences: np.ndarray, correct: np.ndarray, recall: np.ndarray) -> np.ndarray:
    """Return the precision at each recall, of answers that count only from some confidence on.

    Precision is the share of right ones among the answers; recall is the share of right answers among all images. As
    in COCO's curves, it is the highest precision at this or a higher recall, and 0 where no confidence reaches it.

    Args:
      confidences, correct: float and bool [N], of the most probable class of each image.
      recall: [R], in [0, 1].
    """
    if not len(correct):
        return np.zeros(len(recall))
    hits = np.cumsum(correct[np.argsort(-confidences, kind="stable")])
    precision = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
    places = np.searchsorted(hits / len(hits), recall - 1e-9)
    return np.append(precision, 0.0)[places]


def plot_confidences(confidences: np.ndarray, correct: np.ndarray, path: Path) -> None:
    """Plot precision over recall, and the share of right answers over the confidence."""
    figure, (curve, calibration) = plots.new_figure(1, 2, width=11, height=5)
    recall = np.linspace(0, 1, 101)
    values = precision_recall(confidences, correct, recall)
    curve.plot(100 * recall[values > 0], 100 * values[values > 0])
    curve.set(xlabel="recall: right answers, % of all images", ylabel="precision: right ones, % of the answers",
              xlim=(0, 100), ylim=(0, 102), title="precision and recall by confidence")  # fmt: skip
    bins = np.minimum((confidences * BINS).astype(int), BINS - 1)
    known = [number for number in range(BINS) if (bins == number).any()]
    right = [100 * correct[bins == number].mean() for number in known]
    said = [100 * confidences[bins == number].mean() for number in known]
    counts = [int((bins == number).sum()) for number in known]
    calibration.bar([100 * (number + 0.5) / BINS for number in known], right, width=90 / BINS, color="lightsteelblue",
                    label="answers (their number above)")  # fmt: skip
    calibration.plot([0, 100], [0, 100], color="gray", linestyle="--", label="confidence that is right")
    calibration.plot(said, right, marker="o", linestyle="none", label="at the mean confidence")
    for number, height, count in zip(known, right, counts, strict=True):
        place = (100 * (number + 0.5) / BINS, height)
        calibration.annotate(f"{count:,}", place, (0, 5), textcoords="offset points", ha="center", fontsize=8)
    calibration.set(xlabel="confidence, %", ylabel="right answers, %", xlim=(0, 100), ylim=(0, 108),
                    title="is the confidence right?")  # fmt: skip
    calibration.legend(fontsize=8, loc="upper left")
    plots.save_figure(figure, path)
