"""The picture and the page of a search: accuracy over latency, the tables, the course."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mnasnet_cli.metrics.plots import new_figure, save_figure
from mnasnet_cli.pages import html
from mnasnet_cli.pages.charts import Series, draw_chart
from mnasnet_cli.search.outcome import COLUMNS, NetRow, Outcome, table_rows
from mnasnet_cli.system.files import write_atomically

FOUND, STOCK = "found nets", "stock nets"


def draw_front(outcome: Outcome, path: Path) -> None:
    """Draw accuracy over latency as PNG, with a bar of one deviation and the limits as lines."""
    figure, axes = new_figure(1, 1, width=7.5, height=5)
    for name, marker, rows in zip((FOUND, STOCK), ("o", "s"), _groups(outcome), strict=True):
        if rows:
            axes.errorbar(
                [row["latency_ms"] for row in rows],
                [100 * row["accuracy"] for row in rows],
                yerr=[100 * row["deviation"] for row in rows],
                fmt=marker,
                capsize=3,
                label=name,
            )
        for row in rows:
            place = (row["latency_ms"], 100 * row["accuracy"])
            axes.annotate(_label(row), place, (6, 5), textcoords="offset points", fontsize=8)
    for front in outcome["fronts"]:
        axes.axvline(front["limit_ms"], color="gray", linewidth=1, linestyle="--")
    title = f"accuracy over latency on {outcome['device']}"
    axes.set(xlabel="latency, ms", ylabel="validation top-1, %", title=title)
    axes.margins(0.15)
    axes.legend(frameon=False)
    save_figure(figure, path)


def write_page(outcome: Outcome, notes: Sequence[str], commands: Sequence[str], path: Path) -> None:
    """Write the page of a search, one HTML file that needs nothing else."""
    series = [
        Series(name, [(row["latency_ms"], 100 * row["accuracy"]) for row in rows], [_label(row) for row in rows], True)
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
    sections.append(f'<div class="charts">{draw_chart("validation top-1, %", series, x_label="latency, ms")}</div>')
    for front in outcome["fronts"]:
        sections += [f"<h2>Within {front['limit_ms']:g} ms</h2>", html.table(COLUMNS, table_rows(front))]
    sections += [
        html.paragraph(
            "Top-1 is the mean and the standard deviation over seeds on the validation split, which decided nothing. "
            "The last column is the difference from the best stock net.", "note",
        ),
        "<h2>Course</h2>",
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


def _label(row: NetRow) -> str:
    return f"{row['name']} ×{row['width']:g}" if row["stock"] else row["name"]
