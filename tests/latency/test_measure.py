"""Measurements of small converted nets, the numbers of a row, and processes that fail."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mnasnet_cli.errors import EnvironmentProblem, MnasnetError
from mnasnet_cli.inference.manifest import read_manifest
from mnasnet_cli.latency.measure import BenchmarkCase, Timing, measure, net_metadata
from mnasnet_cli.latency.variants import convert_variant


def test_a_row_has_percentiles_throughput_and_memory() -> None:
    case = BenchmarkCase("x", "x", batch_size=2, metadata={"variant": "b1"})
    info = {"file_bytes": 2_000_000, "variant": "the model's", "format": "tflite"}
    summary = Timing(case, info, [[0.001, 0.002], [0.003]], 50, 20).summary()
    assert (summary["p50_ms"], summary["calls"], summary["file_mb"]) == (2.0, 3, 2.0)
    assert summary["p99_ms"] == pytest.approx(2.98)
    assert summary["round_medians_ms"] == [1.5, 3.0]
    assert summary["images_per_second"] == pytest.approx(1000)
    assert (summary["peak_memory_mb"], summary["model_memory_mb"]) == (5e-5, 3e-5)
    assert (summary["variant"], summary["format"]) == ("b1", "tflite")
    assert "file_bytes" not in summary


def test_peak_memory_includes_freed_memory() -> None:
    code = "import numpy as np; from mnasnet_cli.latency.measure import peak_memory as peak; before = peak(); "
    code += "block = np.ones(10_000_000); del block; print(peak() - before)"
    grown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert 70_000_000 < int(grown) < 90_000_000  # float64


@pytest.mark.usefixtures("tiny_net")
def test_models_are_measured_in_rounds(tmp_path: Path) -> None:
    path = convert_variant("tiny", 1.0, 32, tmp_path)
    cases = [
        BenchmarkCase("own size", str(path), batch_size=2),
        BenchmarkCase("resized", str(path), image_size=64, resize_input=True),
    ]
    done: list[int] = []
    own, resized = measure(cases, runs=6, rounds=3, on_progress=done.append)
    assert done == [1, 2, 3, 4, 5, 6]
    for timing in (own, resized):
        assert [len(calls) for calls in timing.rounds] == [2, 2, 2]
        assert min(map(min, timing.rounds)) > 0
        assert timing.peak_bytes > timing.runtime_bytes > 0
        assert timing.model_info["format"] == "tflite"
        assert timing.model_info["file_bytes"] == path.stat().st_size
    assert (own.model_info["image_size"], resized.model_info["image_size"]) == (32, 64)
    assert own.model_info.items() >= net_metadata(read_manifest(path)).items()
    assert multiprocessing.active_children() == []


def test_errors_of_a_model_are_raised_here(tmp_path: Path) -> None:
    with pytest.raises(MnasnetError, match=r"none\.tflite"):
        measure([BenchmarkCase("x", str(tmp_path / "none.tflite"))], runs=1, rounds=1)
    assert multiprocessing.active_children() == []


def test_a_process_that_dies_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    # The child can't unpickle this case, so it ends without an answer.
    class Local(BenchmarkCase):
        pass

    Local.__module__, Local.__qualname__ = "mnasnet_cli.latency.measure", "NoSuchClass"
    monkeypatch.setattr("mnasnet_cli.latency.measure.NoSuchClass", Local, raising=False)
    with pytest.raises(EnvironmentProblem, match=r"the model: .*exit code 1"):
        measure([Local("the model", "x")], runs=1, rounds=1)


def test_a_script_that_measures_is_not_run_again(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "print('script')\n"
        "from mnasnet_cli.latency.measure import BenchmarkCase, measure\n"
        "measure([BenchmarkCase('x', 'none.tflite')], runs=1, rounds=1)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert "none.tflite" in result.stderr
    assert result.stdout.split() == ["script"]
