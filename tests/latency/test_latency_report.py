"""Tables, CSV and plots of measurements, with and without what is known of a net."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mnasnet_cli.latency.measure import BenchmarkCase, Timing
from mnasnet_cli.latency.plots import names_of, plot_latency
from mnasnet_cli.latency.report import CSV_COLUMNS, tables, to_csv, write_report


def row(name: str, **metadata: Any) -> dict[str, Any]:
    case = BenchmarkCase(name, name, metadata=metadata)
    return Timing(case, {"file_bytes": 1_500_000, "image_size": 32}, [[0.001], [0.002]], 2_000_000, 1).summary()


KNOWN = {"variant": "b1", "width": 1.0, "multiply_adds": 315_000_000, "top1": 0.7451, "params": 4_383_312}


def test_a_table_has_only_columns_with_values() -> None:
    assert [title for title, *_ in tables([row("x")])] == ["Latency of 1 image, 1 thread", "Spread and size"]
    found = tables([row("x"), row("y", **KNOWN)])
    first, second = ({head: cell for _, heads, cells in found for head, cell in zip(heads, cells[index], strict=True)}
                     for index in range(2))  # fmt: skip
    assert first["published top-1"] == "–"
    assert (second["published top-1"], second["multiply-adds"], second["input"]) == ("74.5 %", "315.0 M", "32 px")
    assert (second["p50 ms"], second["rounds' p50 ms"], second["file MB"]) == ("1.50", "1.00–2.00", "1.50")


def test_csv_leaves_unknown_values_empty() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv([row("x"), row("y", **KNOWN)]))))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert (rows[0]["variant"], rows[0]["top1"], rows[0]["p50_ms"]) == ("", "", "1.5")
    assert (rows[1]["variant"], rows[1]["params"]) == ("b1", "4383312")


def test_a_report_is_three_files(tmp_path: Path) -> None:
    paths = write_report({"models": [row("x")]}, tmp_path / "new")
    assert [path.name for path in paths] == ["latency.json", "latency.csv", "latency.png"]
    assert json.loads(paths[0].read_text())["models"][0]["p50_ms"] == 1.5


@pytest.mark.parametrize("top1", [0.7, None])
@pytest.mark.parametrize("count", [0, 2, 60])
def test_the_plot_has_what_is_known_of_the_models(tmp_path: Path, top1: float | None, count: int) -> None:
    known = [row(f"b1 ×{width}", **{**KNOWN, "top1": top1, "width": width}) for width in range(1, count + 1)]
    for number, one in enumerate(known):
        one["multiply_adds"] += number
    plot_latency([row("odd $name_ 猫"), *known], tmp_path / "latency.png")
    with Image.open(tmp_path / "latency.png") as image:
        assert image.format == "PNG"
        plots = 1 + (top1 is not None and count > 0) + (count > 0)
        assert image.width == 300 + 550 * plots
        assert image.height < 1500


def test_results_of_a_phone_are_plotted_without_a_90th_percentile(tmp_path: Path) -> None:
    rows = [{**row("x", **KNOWN), "p90_ms": None, "p99_ms": None}]
    assert all(path.is_file() for path in write_report({"models": rows}, tmp_path / "latency"))


def test_names_of_models_leave_out_what_all_share() -> None:
    rows = [{"name": f"runs/a/{name}", "image_size": 64} for name in ("tflite", "onnx")]
    assert names_of(rows) == ["tflite", "onnx"]
    assert names_of(rows[:1]) == ["runs/a/tflite"]
    assert names_of([{**rows[0], "image_size": 96}, {"name": "b1 ×1", "image_size": 64}]) == [
        "runs/a/tflite, 96 px",
        "b1 ×1, 64 px",
    ]
