"""The folder for a phone: its files, results of several releases of benchmark_model, and results of earlier models."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mnasnet_cli.errors import DataError
from mnasnet_cli.latency.android import (
    parse_output,
    read_android_results,
    shell_safe_name,
    write_android_folder,
)

# Shortened output of benchmark_model: releases of 2023, 2019 and before.
NEW = """\
INFO: STARTING!
INFO: Log parameter values verbosely: [0]
INFO: Num threads: [1]
INFO: Graph: [/data/local/tmp/mnasnet-benchmark/b1.tflite]
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
INFO: The input model file size (MB): 17.4229
INFO: Initialized session in 19.515ms.
INFO: count=9 first=87112 curr=51629 min=51629 max=87112 avg=58147.4 std=11478 p5=51629 median=51962 p95=87112

INFO: Running benchmark for at least 20 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
INFO: count=20 first=12162 curr=11785 min=11088 max=13105 avg=11743.2 std=716 p5=11620 median=11891 p95=12628

INFO: Inference timings in us: Init: 19515, First inference: 87112, Warmup (avg): 58147.4, Inference (avg): 11743.2
INFO: Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE to the actual
INFO: Memory footprint delta from the start of the tool (MB): init=25.4961 overall=35.25
INFO: Overall peak memory footprint (MB) via periodic monitoring: 41.5
"""
OLD = """\
Graph: [/data/local/tmp/a.tflite]
count=50 first=209891 curr=209739 min=209739 max=210599 avg=210028 std=221

Inference timings in us: Init: 2517, First inference: 217409, Warmup (avg): 213058, Inference (avg): 210028
Peak memory footprint (MB): init=2.5 overall=60.5
"""
OLDEST = "Average inference timings in us: Warmup: 83235, Init: 38467, Inference: 79760.9\n"


def test_the_output_of_all_releases_is_parsed():
    [new] = parse_output(NEW)
    assert (new["average_us"], new["init_us"], new["threads"], new["graph"]) == (11743.2, 19515, 1, "b1")
    assert (new["counted"]["median"], new["counted"]["count"]) == (11891, 20)
    assert (new["peak_memory_mb"], new["model_memory_mb"]) == (41.5, 35.25)
    [old] = parse_output(OLD)
    assert (old["average_us"], old["peak_memory_mb"]) == (210028, 60.5)
    assert parse_output(OLDEST)[0]["average_us"] == 79760.9
    # One call, and calls of equal length, in old and new releases; the warm-up does not count.
    for line in ("count=1 curr=12000", "count=3 curr=12000(all same) p5=12000 median=12000 p95=12000"):
        [equal] = parse_output(re.sub(r"count=20 .*", line, NEW))
        assert equal["counted"]["median"] == 12000
        assert equal["counted"]["count"] < 9
    assert parse_output("error: no such file") == []
    assert len(parse_output(NEW + OLD)) == 2


def test_file_names_need_no_quotes():
    assert shell_safe_name("runs/my net ×1.4", {}) == "runs_my_net_1.4"
    assert shell_safe_name("××", {}) == "model"
    assert shell_safe_name("a b", {"a_b", "a_b-2"}) == "a_b-3"


def test_files_have_unique_names_and_their_metadata(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(b"TFL3" * 10)
    models = [(tmp_path / "m.tflite", {"name": name, "variant": "b1"}) for name in ("b1 ×0.5", "b1 ×0.5", "other")]
    copies = write_android_folder(tmp_path / "phone", models, threads=4, runs=40, rounds=3)
    assert [path.name for path in copies] == ["b1_0.5.tflite", "b1_0.5-2.tflite", "other.tflite"]
    stored = json.loads((tmp_path / "phone/models.json").read_text())
    assert stored["threads"] == 4
    assert stored["models"]["b1_0.5-2"] == {"name": "b1 ×0.5", "variant": "b1", "file_mb": 40 / 1e6}
    script = (tmp_path / "phone/run.sh").read_text()
    assert re.search("@[A-Z]+@", script) is None
    assert {"threads=${THREADS:-4}", "rounds=${ROUNDS:-3}"} <= set(script.split())
    assert "runs=${RUNS:-14}" in script  # 40 calls in 3 rounds, rounded up
    with pytest.raises(DataError, match=str(tmp_path)):
        write_android_folder(tmp_path, models, threads=1, runs=1, rounds=1)


def test_a_file_of_other_text(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("adb: no devices")
    with pytest.raises(DataError, match=r"log\.txt .*benchmark_model"):
        read_android_results(tmp_path / "log.txt")


def test_damaged_output_of_long_lines_is_read_at_once(tmp_path: Path) -> None:
    results = tmp_path / "results" / "round-1"
    results.mkdir(parents=True)
    (results / "a.txt").write_text(f"count=50 first=1 curr=3000 min={'n' * 100_000}\n{'words ' * 9_000}")
    with pytest.raises(DataError, match="no model has a result") as caught:
        read_android_results(tmp_path)
    assert len(str(caught.value)) < 1000


FAKE_ADB = """\
#!/bin/sh
case "$*" in
    *getprop\\ ro.product.model*) echo "Phone 3" ;;
    *getprop*) echo "x" ;;
    *--graph=*bad_net*) echo CANNOT LINK; exit 1 ;;
    *--graph=*) cat "$OUTPUT" ;;
esac
"""


def run_script(folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs the script with a fake adb, whose phone prints NEW for each model but "bad net"."""
    adb, output = folder.parent / "adb", folder.parent / "output"
    adb.write_text(FAKE_ADB)
    adb.chmod(0o755)
    output.write_text(NEW)
    environment = {**os.environ, "ADB": str(adb), "OUTPUT": str(output)}
    return subprocess.run([folder / "run.sh"], env=environment, capture_output=True, text=True, check=False)


def test_the_script_measures_all_models_in_rounds(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(b"TFL3")
    folder = tmp_path / "a phone"
    metadata = {"multiply_adds": 10_000_000, "variant": "b1", "width": 1.0, "top1": 0.745, "image_size": 224}
    models = [(tmp_path / "m.tflite", {"name": name, **metadata}) for name in ("b1 ×0.5", "b1 ×0.5", "other")]
    write_android_folder(folder, models, threads=4, runs=40, rounds=2)
    missing = run_script(folder)
    assert (missing.returncode, "./benchmark_model" in missing.stderr) == (2, True)
    (folder / "benchmark_model").touch()
    assert run_script(folder).returncode == 0
    assert len(list(folder.glob("results/round-*/*.txt"))) == 6
    found = read_android_results(folder)
    assert (found["device"]["ro.product.model"], found["failed"]) == ("Phone 3", [])
    assert sorted(row["name"] for row in found["rows"]) == ["b1 ×0.5", "b1 ×0.5", "other"]
    for row in found["rows"]:
        assert (row["calls"], row["multiply_adds"], row["round_medians_ms"]) == (40, 10_000_000, [11.891, 11.891])
    assert read_android_results(folder / "results") == found


def test_a_model_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(b"TFL3")
    folder = tmp_path / "phone"
    models = [(tmp_path / "m.tflite", {"name": name}) for name in ("bad net", "good")]
    write_android_folder(folder, models, threads=1, runs=20, rounds=2)
    (folder / "benchmark_model").touch()
    result = run_script(folder)
    assert result.returncode == 1
    assert "1/bad_net 2/bad_net" in result.stderr
    found = read_android_results(folder)
    assert [(row["name"], row["round_medians_ms"]) for row in found["rows"]] == [("good", [11.891, 11.891])]
    assert [(fault["name"], fault["message"]) for fault in found["failed"]] == [("bad net", "CANNOT LINK")] * 2
    for file in folder.glob("results/*/good.txt"):
        file.unlink()
    with pytest.raises(DataError, match=r"round-1/bad_net\.txt .*CANNOT LINK"):
        read_android_results(folder)


RESULT = "Inference timings in us: Init: 1, First inference: 2, Warmup (avg): 3, Inference (avg): 9000\n"
EARLIER: Mapping[str, Any] = {"name": "small", "image_size": 224, "multiply_adds": 68_600_000}
LATER: Mapping[str, Any] = {"name": "small", "image_size": 96, "multiply_adds": 13_700_000}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with results of an earlier measurement."""
    (tmp_path / "m.tflite").write_bytes(b"TFL3")
    write(tmp_path / "phone", EARLIER)
    (tmp_path / "phone/results/round-1").mkdir(parents=True)
    (tmp_path / "phone/results/device.txt").write_text("ro.product.model=Phone 3\n")
    (tmp_path / "phone/results/round-1/small.txt").write_text(RESULT)
    return tmp_path / "phone"


def write(folder: Path, metadata: Mapping[str, Any]) -> None:
    write_android_folder(folder, [(folder.parent / "m.tflite", metadata)], threads=1, runs=1, rounds=1)


def test_results_are_moved_aside_with_their_metadata(folder, capsys):
    write(folder, LATER)
    with pytest.raises(DataError, match=r"phone holds no results.*run\.sh"):
        read_android_results(folder)
    [aside] = folder.glob("results-*")
    assert f"`mnasnet benchmark --android-results {aside}`" in capsys.readouterr().err
    found = read_android_results(aside)
    assert found["device"] == {"ro.product.model": "Phone 3"}
    [row] = found["rows"]
    assert (row["image_size"], row["multiply_adds"], row["p50_ms"]) == (224, 68_600_000, 9.0)
    assert json.loads((folder / "models.json").read_text())["models"]["small"]["image_size"] == 96


def test_results_without_a_file_are_not_kept(folder, capsys):
    (folder / "results/round-1/small.txt").unlink()
    write(folder, LATER)
    assert sorted(path.name for path in folder.iterdir()) == ["models", "models.json", "run.sh"]
    assert capsys.readouterr().err == ""


def test_a_folder_of_a_killed_call_is_taken_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    new = folder.parent / "new"
    with monkeypatch.context() as patch:
        patch.setattr("mnasnet_cli.latency.android.write_atomically", killed)
        with pytest.raises(KeyboardInterrupt):
            write(new, {"name": "b1"})
    (new / ".0e4277c49285.mnasnet-tmp").write_bytes(b"")  # of the process that was killed
    write(new, {"name": "b1"})
    assert (new / "run.sh").is_file()
