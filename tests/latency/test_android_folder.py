"""The phone's folder, written a second time: earlier results stay those of the earlier models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mnasnet_cli.errors import DataError
from mnasnet_cli.latency.android import read_android_results, write_android_folder

ANSWER = "Inference timings in us: Init: 1, First inference: 2, Warmup (avg): 3, Inference (avg): 9000\n"
OLD: Mapping[str, Any] = {"name": "small", "image_size": 224, "multiply_adds": 68_600_000}
NEW: Mapping[str, Any] = {"name": "small", "image_size": 96, "multiply_adds": 13_700_000}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that has been to the phone once."""
    (tmp_path / "m.tflite").write_bytes(b"TFL3")
    _write(tmp_path / "phone", OLD)
    (tmp_path / "phone/results/round-1").mkdir(parents=True)
    (tmp_path / "phone/results/device.txt").write_text("ro.product.model=Phone 3\n")
    (tmp_path / "phone/results/round-1/small.txt").write_text(ANSWER)
    return tmp_path / "phone"


def _write(folder: Path, facts: Mapping[str, Any]) -> None:
    write_android_folder(folder, [(folder.parent / "m.tflite", facts)], threads=1, runs=1, rounds=1)


def test_results_are_moved_aside_with_what_they_are_of(folder, capsys):
    _write(folder, NEW)
    with pytest.raises(DataError, match="holds no results; run"):
        read_android_results(folder)
    [aside] = folder.glob("results-*")
    assert f"kept in {aside}; `mnasnet benchmark --android-results {aside}` shows" in capsys.readouterr().err
    found = read_android_results(aside)
    assert found["device"] == {"ro.product.model": "Phone 3"}
    [row] = found["rows"]
    assert (row["image_size"], row["multiply_adds"], row["p50_ms"]) == (224, 68_600_000, 9.0)
    assert json.loads((folder / "models.json").read_text())["models"]["small"]["image_size"] == 96


def test_results_without_an_answer_are_not_kept(folder, capsys):
    (folder / "results/round-1/small.txt").unlink()  # the phone was unplugged before the first
    _write(folder, NEW)
    assert sorted(path.name for path in folder.iterdir()) == ["models", "models.json", "run.sh"]
    assert capsys.readouterr().err == ""
