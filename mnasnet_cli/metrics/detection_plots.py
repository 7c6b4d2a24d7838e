"""Plots of precision-recall curves, of AP by class, and of the confusions of a detector."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mnasnet_cli.metrics import plots
from mnasnet_cli.metrics.coco_files import Detections, GroundTruth
from mnasnet_cli.metrics.coco_map import IOU_THRESHOLDS, RECALL_LEVELS, Evaluation
from mnasnet_cli.metrics.detection_confusion import confuse_detections
from mnasnet_cli.metrics.detection_images import score_images
from mnasnet_cli.system.files import make_folder

PR_FILE, CLASS_FILE, CONFUSION_FILE = "pr_curves.png", "ap_per_class.png", "confusion.png"
OUTSIDE = ("nothing", "missed")  # the last row and column of a detector's confusion matrix


def plot_evaluation(evaluation: Evaluation, truth: GroundTruth, detections: Detections, folder: Path) -> list[Path]:
    """Write the three plots to the folder, which is created if it is missing; return their paths."""
    make_folder(folder)
    paths = [folder / name for name in (PR_FILE, CLASS_FILE, CONFUSION_FILE)]
    plot_pr_curves(evaluation.precision, paths[0])
    known = [row for row in evaluation.per_class if row["AP"] is not None]
    plots.plot_class_bars(
        [(row["name"], row["annotations"], row["AP"], row["AP50"]) for row in known], paths[1], nested=True,
        what="AP", score="AP at IoU 0.50 to 0.95", other="AP at IoU 0.50", counted="annotations",
    )  # fmt: skip
    threshold, _ = score_images(truth, detections)
    counts = confuse_detections(truth, detections, threshold)
    plots.plot_confusion(counts, [str(name) for name in truth.categories.values()], paths[2], outside=OUTSIDE)
    return paths


def plot_pr_curves(precision: np.ndarray, path: Path) -> None:
    """Plot one curve per IoU threshold: the mean over classes of precision [T, R, K]. Classes with -1 are left out."""
    figure, axes = plots.new_figure(1, 1, width=8, height=5)
    defined = precision[0, 0] > -1  # a class is defined at all thresholds and levels or at none
    shades = np.linspace(0.05, 0.85, len(IOU_THRESHOLDS))
    from matplotlib import colormaps

    for threshold, table, shade in zip(IOU_THRESHOLDS, precision, shades, strict=True):
        if defined.any():
            curve = table[:, defined].mean(axis=1)
            label = f"{threshold:.2f}: AP {100 * curve.mean():.1f} %"
            axes.plot(RECALL_LEVELS, curve, label=label, color=colormaps["viridis"](shade))
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(-0.01, 1.02))
    axes.set_title(f"precision and recall, mean of {int(defined.sum())} classes")
    if defined.any():
        figure.legend(title="IoU", fontsize=8, loc="outside right center", frameon=False)
    plots.save_figure(figure, path)
