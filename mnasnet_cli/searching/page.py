"""The picture and the page of a search: accuracy over latency, the tables, and what each rung decided."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from mnasnet_cli.metrics.plots import new_figure, save_figure
from mnasnet_cli.pages import html
from mnasnet_cli.pages.charts import Series, draw_chart
from mnasnet_cli.searching.outcome import COLUMNS, NetRow, Outcome, busy_note, label, legend, table_rows
from mnasnet_cli.system.files import write_atomically

FOUND, STOCK = "found nets", "stock nets"
NAME_SHARE = 0.045
"""Of the height of the picture, that a name needs."""


def draw_front(outcome: Outcome, path: Path) -> None:
    """Draw accuracy over latency as PNG: bars of one deviation, limits as lines, and names beside each limit."""
    figure, axes = new_figure(1, 1, width=max(7.5, 1.5 + 3.5 * len(outcome["fronts"])), height=5.5)
    for name, marker, rows in zip((FOUND, STOCK), ("o", "s"), _groups(outcome), strict=True):
        x, y = [row["latency_ms"] for row in rows], [100 * row["accuracy"] for row in rows]
        deviations = [100 * row["deviation"] for row in rows]
        axes.errorbar(x, y, yerr=deviations, fmt=marker, capsize=3, alpha=0.9, label=name)
    low, high = axes.get_ylim()
    latencies = [row["latency_ms"] for front in outcome["fronts"] for row in front["nets"]]
    span = max(max(latencies) - min(latencies), 0.1 * max(latencies))
    for front in outcome["fronts"]:
        axes.axvline(front["limit_ms"], color="gray", linewidth=1, linestyle="--")
        place = max(row["latency_ms"] for row in front["nets"]) + 0.06 * span
        heights = spread([100 * row["accuracy"] for row in front["nets"]], NAME_SHARE * (high - low))
        for row, height in zip(front["nets"], heights, strict=True):
            axes.annotate(
                label(row), (row["latency_ms"], 100 * row["accuracy"]), (place, height), fontsize=8, va="center",
                arrowprops={"arrowstyle": "-", "color": "lightgray", "linewidth": 0.8},
            )  # fmt: skip
    axes.set_xlim(min(latencies) - 0.1 * span, max(latencies) + 0.45 * span)
    title = f"accuracy over latency on {outcome['device']}"
    axes.set(xlabel="latency, ms", ylabel="validation top-1, %", title=title)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    save_figure(figure, path)


def spread(values: Sequence[float], distance: float) -> list[float]:
    """Return heights for names, in the order of the values and at least so far from each other."""
    order = sorted(range(len(values)), key=values.__getitem__)
    heights = list(values)
    for below, above in pairwise(order):
        heights[above] = max(heights[above], heights[below] + distance)
    shift = math.fsum(new - old for new, old in zip(heights, values, strict=True)) / max(len(values), 1)
    return [height - shift for height in heights]


def write_page(outcome: Outcome, notes: Sequence[str], commands: Sequence[str], path: Path) -> None:
    """Write the page of a search, one HTML file that needs nothing else."""
    series = [
        Series(name, [(row["latency_ms"], 100 * row["accuracy"]) for row in rows], [label(row) for row in rows], True)
        for name, rows in zip((FOUND, STOCK), _groups(outcome), strict=True)
        if rows
    ]
    epochs = ", ".join(map(str, outcome["epochs"]))
    facts = [
        ("device", outcome["device"]),
        ("format", f"{outcome['format']}, {outcome['threads']} thread{'s' if outcome['threads'] > 1 else ''}"),
        ("recipe", outcome["recipe"]),
        ("epochs of the rungs", epochs),
        ("drawn nets for each latency", f"{outcome['candidates']:,}"),
        ("seed", str(outcome["seed"])),
    ]
    sections: list[str] = [html.paragraph(front["verdict"]) for front in outcome["fronts"]]
    note = busy_note(outcome)
    sections += [html.paragraph(note, "note")] if note else []
    sections.append(f'<div class="charts">{draw_chart("validation top-1, %", series, x_label="latency, ms")}</div>')
    for front in outcome["fronts"]:
        sections += [f"<h2>Within {front['limit_ms']:g} ms</h2>", html.table(COLUMNS, table_rows(front))]
    sections += [
        html.paragraph(f"{legend(outcome)}. The search used the validation split for this comparison only.", "note"),
        "<h2>Rungs</h2>",
        *map(html.paragraph, notes),
        html.key_values(facts),
        "<h2>Next</h2>",
        html.code_block("\n".join(commands)),
    ]  # fmt: skip
    write_atomically(path, html.render_page(f"Nets for {outcome['device']}", sections))


def _groups(outcome: Outcome) -> tuple[list[NetRow], list[NetRow]]:
    """Return the found nets and the stock nets of all limits."""
    rows = [row for front in outcome["fronts"] for row in front["nets"]]
    return [row for row in rows if not row["stock"]], [row for row in rows if row["stock"]]
