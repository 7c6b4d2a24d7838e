"""Plots in one style: training curves, confusion matrices, and bars by class."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mnasnet_cli.console import visible
from mnasnet_cli.pages.charts import is_spread
from mnasnet_cli.pages.fonts import BASE_FAMILY, families
from mnasnet_cli.pages.html import SERIES_COLORS
from mnasnet_cli.system.files import write_atomically

MAX_CLASSES, SHOWN_CLASSES = 80, 40  # of more classes, a confusion matrix shows those with the most confusions
MAX_BARS = 80  # of more classes, those with the lowest and the highest scores
MAX_NAME = 30  # characters of a name
NAME_INCHES = 0.09  # width of a letter beside a matrix
METRIC_NAMES = {"top1": "top-1"}  # where a metric has another name than its key
STYLE: Any = {
    "font.family": [BASE_FAMILY],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelsize": 10,
    "grid.alpha": 0.3,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
}
TITLE = {"fontsize": 12}


def plot_curves(lines: Sequence[Mapping[str, Any]], metric: str, path: Path) -> None:
    """Plot loss, learning rate and the validation metric over epochs, from the lines of metrics.jsonl.

    Without a validation split, loss and learning rate only. The metric is in percent.
    """
    train = [line for line in lines if line["split"] == "train"]
    validation = [line for line in lines if line["split"] == "validation"]
    count = 3 if validation else 2
    figure, (losses, *scores, rates) = new_figure(1, count, width=5.0 * count, height=4)
    losses.plot(*_curve(train, "loss"), label="train", linewidth=1)
    if validation:
        losses.plot(*_curve(validation, "loss"), label="validation", marker=".")
        epochs, values = _curve(validation, metric)
        scores[0].plot(epochs, [100 * value for value in values], marker=".")
        scores[0].set(xlabel="epoch", title=f"validation {METRIC_NAMES.get(metric, metric)}, %")
    losses.set(xlabel="epoch", title="loss")
    if is_spread([*_curve(train, "loss")[1], *_curve(validation, "loss")[1]]):
        losses.set_yscale("log")
    losses.legend(frameon=False)
    rates.plot(*_curve(train, "learning_rate"))
    rates.set(xlabel="epoch", title="learning rate")
    save_figure(figure, path)


def plot_confusion(
    counts: np.ndarray, names: Sequence[str], path: Path, *, outside: tuple[str, str] | None = None
) -> None:
    """Plot a confusion matrix [C, C] of counts. The colors show shares of the true class.

    Args:
      outside: names of a further row and column, at the end of `counts`: true and predicted ones of no class.
    """
    total = len(names)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    title = "confusion matrix"
    if total > MAX_CLASSES:
        wrong = counts - np.diag(counts.diagonal())
        most = np.argsort(-(wrong.sum(axis=0) + wrong.sum(axis=1))[:total], kind="stable")[:SHOWN_CLASSES]
        chosen = np.array([*sorted(most.tolist()), *range(total, len(counts))])
        counts, shares = counts[np.ix_(chosen, chosen)], shares[np.ix_(chosen, chosen)]
        names = [names[number] for number in chosen if number < total]
        title = f"confusion matrix: the {SHOWN_CLASSES} of {total:,} classes with the most confusions"
    names = [shorten(name) for name in names]
    rows, columns = ([*names, outside[0]], [*names, outside[1]]) if outside else (names, names)
    room = NAME_INCHES * max(map(len, rows), default=0)
    side = 2.2 + (0.4 if len(rows) <= 25 else 0.26) * len(rows)
    figure, axes = new_figure(1, 1, width=max(side + 1.4 + room, 0.11 * len(title)), height=side + room)
    heatmap = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    bar = 0.3 / figure.get_figwidth()  # its share of the width
    figure.colorbar(heatmap, ax=axes, label="share of the true class", fraction=bar, pad=bar, aspect=5 * side)
    axes.grid(False)
    axes.spines[:].set_visible(True)
    axes.set(xlabel="predicted", ylabel="true")
    figure.suptitle(title, **TITLE)
    axes.set_xticks(range(len(columns)), columns, rotation=90, parse_math=False)
    axes.set_yticks(range(len(rows)), rows, parse_math=False)
    size = 8 if len(rows) <= 25 else 6
    for row, column in np.argwhere(counts > 0):
        color = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, f"{counts[row, column]:,}", ha="center", va="center", color=color, fontsize=size)
    save_figure(figure, path)


def plot_class_bars(
    classes: Sequence[tuple[str, int, float, float]],
    path: Path,
    *,
    what: str,
    score: str,
    other: str,
    counted: str,
    nested: bool = False,
) -> None:
    """Plot two scores of each class as bars, the best class at the top.

    Args:
      classes: name, how many of it there are, and two scores in [0, 1]; the first one sorts.
      what: the scores, for the title; score, other: each of both, for the legend.
      counted: what is counted, such as "annotations".
      nested: the second score is never lower, so its bar stands behind the first one, not beside it.
    """
    rows = sorted(classes, key=lambda row: row[2])
    title = f"{what} by class ({counted} in brackets)"
    if len(rows) > MAX_BARS:
        half = MAX_BARS // 2
        title = f"{what} of the {half} best and {half} worst of {len(rows):,} classes ({counted} in brackets)"
        rows = [*rows[:half], *rows[-half:]]
    figure, axes = new_figure(1, 1, width=9, height=1.6 + 0.24 * max(len(rows), 4))
    places = np.arange(len(rows))
    first, second = ([100 * row[index] for row in rows] for index in (2, 3))
    height, shift = (0.5, 0.0) if nested else (0.4, 0.2)
    behind = {"color": "lightsteelblue", "label": other}
    axes.barh(places - shift, second, height=0.8 if nested else height, **behind)
    axes.barh(places + shift, first, height=height, label=score)
    names = [f"{shorten(name)} ({count:,})" for name, count, _, _ in rows]
    axes.set_yticks(places, names, fontsize=8, parse_math=False)
    axes.set(xlim=(0, 100), xlabel="%", ylim=(-0.6, max(len(rows), 1) - 0.4))
    axes.grid(visible=False, axis="y")
    figure.suptitle(title, **TITLE)
    figure.legend(*axes.get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=2, frameon=False)
    save_figure(figure, path)


def shorten(text: str) -> str:
    """Return a text of at most MAX_NAME characters, without its middle if it is longer; control characters visible."""
    text = visible(text)
    half = (MAX_NAME - 1) // 2
    return text if len(text) <= MAX_NAME else f"{text[: MAX_NAME - 1 - half]}…{text[-half:]}"


def _curve(lines: Sequence[Mapping[str, Any]], key: str) -> tuple[list[float], list[float]]:
    known = [line for line in lines if line.get(key) is not None and "epoch" in line]
    return [line["epoch"] for line in known], [line[key] for line in known]


def new_figure(rows: int, columns: int, *, width: float, height: float) -> Any:
    """Return a figure and its axes (an array if there are several); sizes in inches."""
    # Not pyplot, which looks for a display and keeps figures in memory.
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns)
    for one in figure.axes:
        one.set_prop_cycle(color=SERIES_COLORS)
    return figure, axes


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure as PNG, completely or not at all, in fonts that have the letters of its texts."""
    from matplotlib.text import Text

    for axes in figure.axes:
        axes.title.set(**TITLE)
        for axis in (axes.xaxis, axes.yaxis):
            axis.get_ticklabels()  # gives the ticks their texts
    texts = figure.findobj(Text)
    needed = families([text.get_text() for text in texts])
    for text in texts:
        text.set_fontfamily(needed)
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # `families` said it
        figure.savefig(content, format="png", dpi=100)
    write_atomically(path, content.getbuffer())
