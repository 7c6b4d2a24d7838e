"""Plots: training curves, confusion matrices, and grids of images with captions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mnasnet_cli.system.files import replace_atomically

MAX_TICKS = 40  # with more classes than this, a confusion matrix has no class names
MAX_NAME = 30  # characters of a name in a confusion matrix
NAME_INCHES, CAPTION_LETTERS = 0.09, 14  # width of a letter beside a matrix; letters of a caption in an inch


def plot_curves(lines: Sequence[dict[str, Any]], metric: str, path: Path) -> None:
    """Plots loss, learning rate and the validation metric over epochs, from the lines of metrics.jsonl.

    Without a validation split, loss and learning rate only.
    """
    train = [line for line in lines if line["split"] == "train"]
    validation = [line for line in lines if line["split"] == "validation"]
    count = 3 if validation else 2
    figure, (losses, *scores, rates) = new_figure(1, count, width=5.0 * count, height=4)
    losses.plot([line["epoch"] for line in train], [line["loss"] for line in train], label="train", linewidth=1)
    if validation:
        losses.plot(*_curve(validation, "loss"), label="validation", marker=".")
        scores[0].plot(*_curve(validation, metric), marker=".", color="tab:green")
        scores[0].set(xlabel="epoch", title=f"validation {metric}")
    losses.set(xlabel="epoch", title="loss")
    losses.legend()
    rates.plot(*_curve(train, "learning_rate"), color="tab:gray")
    rates.set(xlabel="epoch", title="learning rate")
    save_figure(figure, path)


def plot_confusion(counts: np.ndarray, names: Sequence[str], path: Path) -> None:
    """Plots a confusion matrix [C, C] of counts. The colors show shares of the true class."""
    size = len(counts)
    names = [_shorten(name, MAX_NAME) for name in names]
    room = NAME_INCHES * max(map(len, names), default=0) if size <= MAX_TICKS else 0.0
    side = min(12.0, 2.2 + 0.4 * size)
    figure, axes = new_figure(1, 1, width=side + 1.8 + room, height=side + 0.8 + room)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    heatmap = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(heatmap, ax=axes, label="share of the true class")
    axes.set(xlabel="predicted", ylabel="true", title="confusion matrix")
    if size <= MAX_TICKS:
        axes.set_xticks(range(size), names, rotation=90, parse_math=False)
        axes.set_yticks(range(size), names, parse_math=False)
        for row, column in np.argwhere(counts > 0):
            color = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=color, fontsize=7)
    save_figure(figure, path)


def plot_images(
    images: Sequence[np.ndarray],
    captions: Sequence[str],
    path: Path,
    *,
    title: str = "",
    columns: int = 5,
    tile: float = 3.0,
) -> None:
    """Draws images [H, W, 3] uint8 with captions in a grid; `tile` is the size of a cell in inches of 100 px."""
    rows = max(1, -(-len(images) // columns))
    figure, grid = new_figure(rows, columns, width=tile * columns, height=(tile + 0.4) * rows)
    if title:
        figure.suptitle(title, fontsize=11)
    for axes in np.ravel(grid):
        axes.axis("off")
    for axes, image, caption in zip(np.ravel(grid), images, captions, strict=False):
        axes.imshow(image)
        shown = "\n".join(_shorten(line, int(CAPTION_LETTERS * tile)) for line in caption.split("\n"))
        axes.set_title(shown, fontsize=8, parse_math=False)  # file names may hold $
    save_figure(figure, path)


def _shorten(text: str, most: int) -> str:
    """Return a text of at most `most` characters, without its middle if it is longer."""
    half = (most - 1) // 2
    return text if len(text) <= most else f"{text[: most - 1 - half]}…{text[-half:]}"


def _curve(lines: Sequence[dict[str, Any]], key: str) -> tuple[list[float], list[float]]:
    known = [line for line in lines if line.get(key) is not None]
    return [line["epoch"] for line in known], [line[key] for line in known]


def new_figure(rows: int, columns: int, *, width: float, height: float) -> Any:
    """Return a figure and its axes (an array if there are several); sizes in inches."""
    # Not pyplot, which looks for a display and keeps figures in memory.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns)


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure as PNG, completely or not at all."""
    with replace_atomically(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)
