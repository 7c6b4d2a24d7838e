"""The plot of measured latencies: by model, and of accuracy and cost where they are known."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mnasnet_cli.metrics.plots import new_figure, save_figure, shorten
from mnasnet_cli.pages.html import SERIES_COLORS

MAX_BARS = 40  # of more models, the fastest
MAX_LABELS = 15  # points of a color or of a plot that have the width of the net beside them

Row = Mapping[str, Any]


def plot_latency(rows: Sequence[Row], path: Path) -> None:
    """Plot the latency of each model as a bar, with one color per variant.

    Where it is known, also published accuracy over latency; where nets differ in cost, latency over multiply-adds.

    Args:
      rows: of `Timing.summary`, at least one.
    """
    kinds = list(dict.fromkeys(_kind(row) for row in rows))
    draws = [_draw_bars]
    if any(row.get("top1") for row in rows):
        draws.append(_draw_accuracies)
    if len({row["multiply_adds"] for row in rows if row.get("multiply_adds")}) > 1:
        draws.append(_draw_costs)
    height = max(4.5, 1.5 + 0.3 * min(len(rows), MAX_BARS))
    figure, made = new_figure(1, len(draws), width=3.0 + 5.5 * len(draws), height=height)
    for draw, axes in zip(draws, np.atleast_1d(made), strict=True):
        draw(axes, rows, kinds)
    handles = {
        label: handle for axes in figure.axes for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=6, fontsize=8, frameon=False)
    save_figure(figure, path)


def _kind(row: Row) -> str:
    return row.get("variant") or "unknown variant"


def names_of(rows: Sequence[Row]) -> list[str]:
    """Return the names of models without the folders that all share, with the input size where sizes differ."""
    names = [str(row["name"]) for row in rows]
    parents = {os.path.dirname(name) for name in names}
    shared = os.path.commonpath(parents) if len(names) > 1 and all(parents) else ""
    if shared:
        names = [os.path.relpath(name, shared) for name in names]
    if len({row.get("image_size") for row in rows}) > 1:
        names = [f"{name}, {row.get('image_size') or '?'} px" for name, row in zip(names, rows, strict=True)]
    return [shorten(name) for name in names]


def _draw_bars(axes: Any, rows: Sequence[Row], kinds: Sequence[str]) -> None:
    order = sorted(range(len(rows)), key=lambda number: rows[number]["p50_ms"])[:MAX_BARS]
    names, title = names_of(rows), "latency by model: median, and line to the 90th percentile"
    if len(order) < len(rows):
        title = f"latency of the {len(order)} fastest of {len(rows)} models: median, and line to p90"
    for place, number in enumerate(order):
        row = rows[number]
        above = max(0.0, (row["p90_ms"] or row["p50_ms"]) - row["p50_ms"])  # phones give no 90th percentile
        axes.barh(place, row["p50_ms"], height=0.7, color=_color(row, kinds), xerr=[[0], [above]],
                  error_kw={"ecolor": "gray", "capsize": 3})  # fmt: skip
        text = f"{row['p50_ms']:.3g} ms"
        axes.annotate(text, (row["p50_ms"] + above, place), (5, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_yticks(range(len(order)), [names[number] for number in order], fontsize=8, parse_math=False)
    axes.set(xlabel="latency, ms", title=title, ylim=(len(order) - 0.4, -0.6))  # the fastest on top
    axes.margins(x=0.15)  # room for the numbers
    axes.grid(visible=False, axis="y")
    for kind in kinds:
        axes.plot([], [], "s", color=_color({"variant": kind}, kinds), label=kind)


def _draw_accuracies(axes: Any, rows: Sequence[Row], kinds: Sequence[str]) -> None:
    for kind in kinds:
        # In the order of cost, so that the line shows where a smaller net took longer.
        own = sorted((row for row in rows if _kind(row) == kind), key=lambda row: row.get("multiply_adds") or 0)
        known = [row for row in own if row.get("top1")]
        points = [(row["p50_ms"], 100 * row["top1"]) for row in known]
        if points:
            axes.plot(*zip(*points, strict=True), "o-", color=_color({"variant": kind}, kinds))
        _write_widths(axes, known, points)
    axes.set(xlabel="latency, median, ms", ylabel="published ImageNet top-1, %", title="accuracy over latency")
    axes.margins(0.12)


def _draw_costs(axes: Any, rows: Sequence[Row], kinds: Sequence[str]) -> None:
    known = [row for row in rows if row.get("multiply_adds")]
    points = [(row["multiply_adds"] / 1e6, row["p50_ms"]) for row in known]
    areas = [max(12, (row.get("image_size") or 224) / 6) for row in known]
    axes.scatter(*zip(*points, strict=True), color=[_color(row, kinds) for row in known], s=areas)
    _write_widths(axes, known, points)
    axes.set(xlabel="multiply-adds, M", ylabel="latency, median, ms", title="latency over multiply-adds")
    axes.margins(0.12)


def _write_widths(axes: Any, rows: Sequence[Row], points: Sequence[tuple[float, float]]) -> None:
    """Write the width of each net beside its point, unless there are too many to be read."""
    for row, point in zip(rows, points, strict=True) if len(rows) <= MAX_LABELS else ():
        if row.get("width"):
            axes.annotate(f"×{row['width']:g}", point, (5, -10), textcoords="offset points", fontsize=8)


def _color(row: Row, kinds: Sequence[str]) -> Any:
    from matplotlib import colormaps

    number = kinds.index(_kind(row))
    return SERIES_COLORS[number] if number < len(SERIES_COLORS) else colormaps["tab20"](number % 20)
