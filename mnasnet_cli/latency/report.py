"""Reports of measured latencies: a table, CSV, JSON, and a plot."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mnasnet_cli.console import percent, plural
from mnasnet_cli.latency.plots import plot_latency
from mnasnet_cli.system.files import make_folder, write_atomically

JSON_FILE, CSV_FILE, PLOT_FILE = "latency.json", "latency.csv", "latency.png"
CSV_COLUMNS = (
    "name", "variant", "width", "format", "kind", "image_size", "batch_size", "threads", "multiply_adds", "params",
    "top1", "p50_ms", "p90_ms", "p99_ms", "images_per_second", "peak_memory_mb", "model_memory_mb", "file_mb", "calls",
    "estimate", "note",
)  # fmt: skip

Row = Mapping[str, Any]


def tables(rows: Sequence[Row]) -> list[tuple[str, list[str], list[list[object]]]]:
    """Return the tables for a terminal of 80 columns: title, column titles and cells.

    Columns without any value are left out, and tables without any column.
    """
    batch, threads = rows[0]["batch_size"], rows[0]["threads"]
    parts: list[tuple[str, list[tuple[str, list[object]]]]] = [
        (
            f"Latency of {plural(batch, 'image')}, {plural(threads, 'thread') if threads else 'some threads'}",
            [
                ("input", [f"{row['image_size']} px" if row.get("image_size") else None for row in rows]),
                ("p50 ms", [_rounded(row["p50_ms"], 2) for row in rows]),
                ("p90 ms", [_rounded(row["p90_ms"], 2) for row in rows]),
                ("p99 ms", [_rounded(row["p99_ms"], 2) for row in rows]),
                ("images/s", [_rounded(row["images_per_second"], 1) for row in rows]),
            ],
        ),
        (
            "Spread and size",
            [
                ("rounds' p50 ms", [_spread(row["round_medians_ms"]) for row in rows]),
                ("peak MB", [_rounded(row["peak_memory_mb"], 0) for row in rows]),
                ("format", [row.get("format") for row in rows]),
                ("file MB", [_rounded(row["file_mb"], 2) for row in rows]),
            ],
        ),
        (
            "Cost and accuracy",
            [
                ("multiply-adds", [_millions(row.get("multiply_adds")) for row in rows]),
                ("published top-1", [percent(row["top1"]) if row.get("top1") else None for row in rows]),
            ],
        ),
    ]
    found = []
    for title, columns in parts:
        kept = [("model", [row["name"] for row in rows])]
        kept += [(head, cells) for head, cells in columns if any(cell is not None for cell in cells)]
        cells = [[cells[index] if cells[index] is not None else "–" for _, cells in kept] for index in range(len(rows))]
        if len(kept) > 1:
            found.append((title, [head for head, _ in kept], cells))
    return found


def to_csv(rows: Sequence[Row]) -> str:
    """All rows with CSV_COLUMNS. Unknown values are empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows([row.get(column) for column in CSV_COLUMNS] for row in rows)
    return text.getvalue()


def write_report(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write latency.json, latency.csv and latency.png; return their paths."""
    make_folder(folder)
    rows = report["models"]
    paths = [folder / JSON_FILE, folder / CSV_FILE, folder / PLOT_FILE]
    write_atomically(paths[0], json.dumps(report, indent=2, default=str) + "\n")
    write_atomically(paths[1], to_csv(rows))
    plot_latency(rows, paths[2])
    return paths


def _millions(count: int | None) -> str | None:
    return None if count is None else f"{count / 1e6:,.1f} M"


def _rounded(value: float | None, digits: int) -> str | None:
    return None if value is None else f"{value:,.{digits}f}"


def _spread(medians: Sequence[float]) -> str | None:
    return f"{min(medians):.2f}–{max(medians):.2f}" if len(medians) > 1 else None
