"""The results of a training as a table: percentages, times that people read, and where the files are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mnasnet_cli import console
from mnasnet_cli.console import percent
from mnasnet_cli.metrics.coco_map import COCO_METRICS
from mnasnet_cli.screen import next_steps

ACCURACIES = ("top1", "top5")


def print_training(run_dir: Path, data: Path, results: Mapping[str, Any]) -> None:
    """Print the results of a training, the place of its files, and the commands that come next."""
    console.print_table(f"Results of {run_dir}", ("", "value"), result_rows(results))
    console.emit_text(f"Everything is in {run_dir}: results.json, curves.png, train.log, checkpoints.\n")
    next_steps.show(next_steps.after_training(run_dir, data))


def result_rows(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what results.json holds as rows. Accuracies and APs become percentages."""
    epochs = f"{results['epochs']:,}"
    table = f" ({results['table'][:8]})" if results.get("table") else ""
    rows = [
        ("net", f"{results['variant']}{table}, width {results['width']:g}, {results['image_size']} px"),
        ("epochs", f"{epochs}, stopped early" if results.get("stopped_early") else epochs),
        ("steps", f"{results['steps']:,}"),
        ("time", console.duration(results["seconds"])),
        ("time of all cores", console.duration(results["cpu_seconds"])),
    ]
    if results.get("examples") or results.get("images"):
        rows.append(("validation images", f"{results.get('examples') or results['images']:,}"))
    for key in (*ACCURACIES, *COCO_METRICS):
        if results.get(f"best_{key}") is not None:
            rows.append((f"best {key}", percent(results[f"best_{key}"])))
        if key in results:
            rows.append((key, percent(results[key])))
    if results.get("loss") is not None:
        rows.append(("loss", f"{results['loss']:.4g}"))
    return rows
