"""Plots of precision-recall curves and of AP per class."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mnasnet_cli.metrics import plots
from mnasnet_cli.metrics.coco_map import IOU_THRESHOLDS, RECALL_LEVELS, Evaluation

PR_FILE = "pr_curves.png"
CLASS_FILE = "ap_per_class.png"


def plot_evaluation(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write both plots to the folder, which is created if it is missing; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / PR_FILE, folder / CLASS_FILE]
    plot_pr_curves(evaluation.precision, paths[0])
    plot_classes(evaluation, paths[1])
    return paths


def plot_pr_curves(precision: np.ndarray, path: Path) -> None:
    """Plot one curve per IoU threshold: the mean over classes of precision [T, R, K]. Classes with -1 are left out."""
    figure, axes = plots.new_figure(1, 1, width=7, height=5.5)
    defined = precision[0, 0] > -1  # a class is defined at all thresholds and levels or at none
    shades = np.linspace(0.05, 0.85, len(IOU_THRESHOLDS))
    from matplotlib import colormaps

    for threshold, table, shade in zip(IOU_THRESHOLDS, precision, shades, strict=True):
        if defined.any():
            curve = table[:, defined].mean(axis=1)
            label = f"{threshold:.2f}  AP {curve.mean():.3f}"
            axes.plot(RECALL_LEVELS, curve, label=label, color=colormaps["viridis"](shade))
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes.set_title(f"precision and recall, mean of {int(defined.sum())} classes")
    axes.grid(alpha=0.3)
    if defined.any():
        axes.legend(title="IoU", fontsize=8)
    plots.save_figure(figure, path)


def plot_classes(evaluation: Evaluation, path: Path) -> None:
    """Plot AP and AP50 of each class with annotations as bars, the best at the top."""
    rows = sorted((row for row in evaluation.per_class if row["AP"] is not None), key=lambda row: row["AP"])
    figure, axes = plots.new_figure(1, 1, width=8, height=1.5 + 0.22 * max(len(rows), 4))
    places = np.arange(len(rows))
    axes.barh(places, [row["AP50"] for row in rows], color="lightsteelblue", label="AP at IoU 0.50")
    axes.barh(places, [row["AP"] for row in rows], height=0.5, color="tab:blue", label="AP at IoU 0.50 to 0.95")
    axes.set_yticks(places, [f"{row['name']} ({row['annotations']})" for row in rows], fontsize=8, parse_math=False)
    axes.set(xlim=(0, 1), xlabel="AP", ylim=(-0.6, max(len(rows), 1) - 0.4))
    axes.set_title("AP per class (annotations in brackets)")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(fontsize=8, loc="lower right")
    plots.save_figure(figure, path)
