"""Reports of measured latencies: a table, CSV, JSON, and a plot of accuracy over latency."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mnasnet_cli.metrics.plots import new_figure, save_figure
from mnasnet_cli.system.files import write_atomically

JSON_FILE, CSV_FILE, PLOT_FILE = "latency.json", "latency.csv", "latency.png"
CSV_COLUMNS = (
    "name", "variant", "width", "format", "kind", "image_size", "batch_size", "threads", "multiply_adds", "params",
    "top1", "p50_ms", "p90_ms", "p99_ms", "images_per_second", "peak_memory_mb", "model_memory_mb", "file_mb", "calls",
    "estimate", "note",
)  # fmt: skip

Row = Mapping[str, Any]


def table_cells(rows: Sequence[Row]) -> tuple[list[str], list[list[object]]]:
    """Column titles and cells. Columns without any value are left out."""
    columns: list[tuple[str, list[object]]] = [
        ("model", [row["name"] for row in rows]),
        ("format", [row.get("format") for row in rows]),
        ("input", [f"{row['image_size']} px" if row.get("image_size") else None for row in rows]),
        ("M multiply-adds", [_millions(row.get("multiply_adds")) for row in rows]),
        ("published top-1", [f"{row['top1']:.1%}" if row.get("top1") else None for row in rows]),
        ("p50 ms", [_rounded(row["p50_ms"], 2) for row in rows]),
        ("p90 ms", [_rounded(row["p90_ms"], 2) for row in rows]),
        ("p99 ms", [_rounded(row["p99_ms"], 2) for row in rows]),
        ("rounds' p50", [_spread(row["round_medians_ms"]) for row in rows]),
        ("images/s", [_rounded(row["images_per_second"], 1) for row in rows]),
        ("peak MB", [_rounded(row["peak_memory_mb"], 0) for row in rows]),
        ("file MB", [_rounded(row["file_mb"], 2) for row in rows]),
    ]
    kept = [(title, cells) for title, cells in columns if any(cell is not None for cell in cells)]
    shown = [[cells[index] if cells[index] is not None else "–" for _, cells in kept] for index in range(len(rows))]
    return [title for title, _ in kept], shown


def to_csv(rows: Sequence[Row]) -> str:
    """All rows with CSV_COLUMNS. Unknown values are empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows([row.get(column) for column in CSV_COLUMNS] for row in rows)
    return text.getvalue()


def write_report(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Writes latency.json, latency.csv and, if multiply-adds are known, latency.png; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = report["models"]
    write_atomically(folder / JSON_FILE, json.dumps(report, indent=2, default=str) + "\n")
    write_atomically(folder / CSV_FILE, to_csv(rows))
    paths = [folder / JSON_FILE, folder / CSV_FILE]
    if any(row.get("multiply_adds") for row in rows):
        plot_latency(rows, folder / PLOT_FILE)
        paths.append(folder / PLOT_FILE)
    return paths


def plot_latency(rows: Sequence[Row], path: Path) -> None:
    """Plots published accuracy over median latency, and latency over multiply-adds, with one color per variant."""
    figure, (accuracies, costs) = new_figure(1, 2, width=15, height=6)
    for number, variant in enumerate(dict.fromkeys(row.get("variant") for row in rows)):
        # In the order of cost, so that the line shows where a smaller net took longer.
        own = sorted(
            (row for row in rows if row.get("variant") == variant), key=lambda row: row.get("multiply_adds") or 0
        )
        _plot_accuracies(accuracies, own, variant, f"C{number}")
        _plot_costs(costs, own, variant, f"C{number}")
    accuracies.set(xlabel="latency, median [ms]", ylabel="published ImageNet top-1 [%]", title="accuracy over latency")
    costs.set(xlabel="multiply-adds [M]", ylabel="latency, median [ms]", title="latency over multiply-adds")
    for axes in (accuracies, costs):
        axes.grid(alpha=0.3)
        axes.margins(0.08)  # room for the labels of the outer points
        if axes.get_legend_handles_labels()[0]:
            axes.legend()
    if not accuracies.lines:
        accuracies.text(0.5, 0.5, "no published accuracy for these sizes", ha="center", transform=accuracies.transAxes)
    save_figure(figure, path)


def _plot_accuracies(axes: Any, rows: Sequence[Row], variant: str | None, color: str) -> None:
    known = [(row["p50_ms"], 100 * row["top1"], row["width"]) for row in rows if row.get("top1")]
    if known:
        latencies, percents, _ = zip(*known, strict=True)
        axes.plot(latencies, percents, "o-", color=color, label=variant)
    for latency, percent, width in known:
        axes.annotate(f"×{width:g}", (latency, percent), (5, -10), textcoords="offset points", fontsize=8)


def _plot_costs(axes: Any, rows: Sequence[Row], variant: str | None, color: str) -> None:
    known = [row for row in rows if row.get("multiply_adds")]
    millions = [row["multiply_adds"] / 1e6 for row in known]
    areas = [max(8, (row.get("image_size") or 224) / 6) for row in known]
    axes.scatter(millions, [row["p50_ms"] for row in known], color=color, s=areas, label=variant)


def _millions(count: int | None) -> str | None:
    return None if count is None else f"{count / 1e6:,.1f}"


def _rounded(value: float | None, digits: int) -> str | None:
    return None if value is None else f"{value:,.{digits}f}"


def _spread(medians: Sequence[float]) -> str | None:
    return f"{min(medians):.2f}–{max(medians):.2f}" if len(medians) > 1 else None
