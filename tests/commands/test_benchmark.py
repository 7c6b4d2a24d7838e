"""`mnasnet benchmark`: bare variants and artifacts in turns, the phone's folder, and the phone's answers."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from outcomes import last_error_of

from mnasnet_cli.errors import DataError
from mnasnet_cli.latency.android import file_name, parse_output, read_android_results, write_android_folder
from mnasnet_cli.latency.measure import Subject, Timing
from mnasnet_cli.latency.report import as_csv, table
from mnasnet_cli.nets.spec import get_spec, multiply_adds

# As benchmark_model prints it, shortened.
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

FAKE_ADB = """\
#!/bin/sh
case "$*" in
    *getprop\\ ro.product.model*) echo "Phone 3" ;;
    *getprop*) echo "x" ;;
    *--graph=*) cat "$ANSWER" ;;
esac
"""


@pytest.mark.slow
def test_a_bare_variant_and_an_artifact_take_turns(mnasnet, tmp_path):
    made = mnasnet("benchmark", "small", "--width=0.35", "--image-size=32", f"--android={tmp_path / 'phone'}", "--json")
    assert made.code == 0, made.err
    [file] = made.json["models"]
    # The file without its manifest is no model; so the second one is another bare variant.
    assert "has no manifest.json" in last_error_of(mnasnet("benchmark", file))
    flags = ["--width=0.35", "--image-size=32", "--runs=6", "--rounds=3", "--batch-size=2"]
    outcome = mnasnet("benchmark", "small", "a1", *flags, "--json", f"--out={tmp_path / 'out'}")
    assert outcome.code == 0, outcome.err
    report = outcome.json
    assert [row["variant"] for row in report["models"]] == ["small", "a1"]
    assert report["host"]["cpu"]["cores"] >= 1
    assert "ai-edge-litert" in report["host"]["versions"]
    for row in report["models"]:
        assert row["multiply_adds"] == multiply_adds(get_spec(row["variant"], 0.35), 32)
        assert 0 < row["p50_ms"] <= row["p90_ms"] <= row["p99_ms"]
        assert (row["calls"], len(row["round_medians_ms"]), row["batch_size"]) == (6, 3, 2)
        assert row["images_per_second"] > 0
        assert row["peak_memory_mb"] > row["model_memory_mb"] > 0
        assert row["file_mb"] > 1
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"latency.json", "latency.csv", "latency.png"}


@pytest.mark.slow
def test_the_grid_converts_a_net_once_for_all_sizes(mnasnet):
    outcome = mnasnet("benchmark", "--all", "small", "--width=0.35", "--runs=2", "--rounds=1", "--format=csv")
    assert outcome.code == 0, outcome.err
    rows = list(csv.DictReader(io.StringIO(outcome.out)))
    assert [row["image_size"] for row in rows] == ["128", "160", "192", "224"]
    counts = [int(row["multiply_adds"]) for row in rows]
    assert counts == sorted(counts)


def test_what_cannot_be_measured_is_one_line(mnasnet, tmp_path):
    assert "name at least one model or variant" in last_error_of(mnasnet("benchmark"))
    assert "did you mean 'small'?" in last_error_of(mnasnet("benchmark", "smal"))
    assert "--all is for variants" in last_error_of(mnasnet("benchmark", "--all", "runs/x"))
    assert "goes without models" in last_error_of(mnasnet("benchmark", "b1", f"--android-results={tmp_path}"))
    assert "holds no results; run" in last_error_of(mnasnet("benchmark", f"--android-results={tmp_path}"))


def test_percentiles_throughput_and_memory():
    timing = Timing(Subject("x", "x", batch_size=2), {"file_bytes": 2_000_000}, [[0.001, 0.002], [0.003]], 50, 20)
    summary = timing.summary()
    assert (summary["p50_ms"], summary["calls"], summary["file_mb"]) == (2.0, 3, 2.0)
    assert summary["p99_ms"] == pytest.approx(2.98)
    assert summary["round_medians_ms"] == [1.5, 3.0]
    assert summary["images_per_second"] == pytest.approx(1000)
    assert (summary["peak_memory_mb"], summary["model_memory_mb"]) == (5e-5, 3e-5)


def test_output_of_all_releases_is_read():
    [new] = parse_output(NEW)
    assert (new["average_us"], new["init_us"], new["threads"], new["graph"]) == (11743.2, 19515, 1, "b1")
    assert (new["counted"]["median"], new["counted"]["count"]) == (11891, 20)
    assert (new["peak_memory_mb"], new["model_memory_mb"]) == (41.5, 35.25)
    [old] = parse_output(OLD)
    assert (old["average_us"], old["peak_memory_mb"]) == (210028, 60.5)
    assert parse_output(OLDEST)[0]["average_us"] == 79760.9
    # One call, and calls that took the same time, as old and as new releases tell them; the warm-up is not meant.
    for line in ("count=1 curr=12000", "count=3 curr=12000(all same) p5=12000 median=12000 p95=12000"):
        [equal] = parse_output(re.sub(r"count=20 .*", line, NEW))
        assert equal["counted"]["median"] == 12000
        assert equal["counted"]["count"] < 9
    assert parse_output("error: no such file") == []
    assert len(parse_output(NEW + OLD)) == 2


def test_a_file_of_answers_is_a_table(mnasnet, tmp_path):
    (tmp_path / "log.txt").write_text(NEW + OLD)
    outcome = mnasnet("benchmark", f"--android-results={tmp_path / 'log.txt'}", "--json")
    assert outcome.code == 0, outcome.err
    first, second = outcome.json["models"]
    assert (first["name"], first["p50_ms"], first["estimate"], first["p99_ms"]) == ("b1", 11.891, "median", None)
    assert (second["name"], second["p50_ms"], second["estimate"]) == ("a", 210.028, "average")
    (tmp_path / "log.txt").write_text("adb: no devices")
    with pytest.raises(DataError, match="holds no output of benchmark_model"):
        read_android_results(tmp_path / "log.txt")


def test_the_script_times_all_models_in_rounds(mnasnet, tmp_path):
    (tmp_path / "m.tflite").write_bytes(b"TFL3" * 10)
    folder = tmp_path / "a phone"
    facts = {"multiply_adds": 10_000_000, "variant": "b1", "width": 1.0, "top1": 0.745, "image_size": 224}
    models = [(tmp_path / "m.tflite", {"name": name, **facts}) for name in ("b1 ×0.5", "b1 ×0.5", "other")]
    copies = write_android_folder(folder, models, threads=4, runs=40, rounds=2)
    assert [path.name for path in copies] == ["b1_0.5.tflite", "b1_0.5-2.tflite", "other.tflite"]
    adb = tmp_path / "adb"
    adb.write_text(FAKE_ADB)
    adb.chmod(0o755)
    (tmp_path / "answer").write_text(NEW)
    environment = {**os.environ, "ADB": str(adb), "ANSWER": str(tmp_path / "answer")}
    missing = subprocess.run([folder / "run.sh"], env=environment, capture_output=True, text=True, check=False)
    assert (missing.returncode, "there is no ./benchmark_model" in missing.stderr) == (2, True)
    (folder / "benchmark_model").write_bytes(b"")
    subprocess.run([folder / "run.sh"], env=environment, capture_output=True, check=True)
    assert len(list(folder.glob("results/round-*/*.txt"))) == 6
    outcome = mnasnet("benchmark", f"--android-results={folder}")
    assert outcome.code == 0, outcome.err
    assert "Phone 3" in outcome.out
    report = mnasnet("benchmark", f"--android-results={folder}", "--json").json
    assert sorted(row["name"] for row in report["models"]) == ["b1 ×0.5", "b1 ×0.5", "other"]
    for row in report["models"]:
        assert (row["calls"], row["multiply_adds"], row["round_medians_ms"]) == (40, 10_000_000, [11.891, 11.891])
    assert report["failed"] == []
    with pytest.raises(DataError, match="holds other files"):
        write_android_folder(tmp_path, models, threads=1, runs=1, rounds=1)


def test_a_model_that_fails_leaves_the_others_their_turns(mnasnet, tmp_path):
    folder, adb = tmp_path / "phone", tmp_path / "adb"
    (tmp_path / "m.tflite").write_bytes(b"TFL3" * 10)
    models = [(tmp_path / "m.tflite", {"name": name}) for name in ("bad net", "good")]
    write_android_folder(folder, models, threads=1, runs=20, rounds=2)
    adb.write_text(FAKE_ADB.replace("    *--g", "    *--graph=*bad_net*) echo CANNOT LINK; exit 1 ;;\n    *--g"))
    adb.chmod(0o755)
    (tmp_path / "answer").write_text(NEW)
    (folder / "benchmark_model").write_bytes(b"")
    environment = {**os.environ, "ADB": str(adb), "ANSWER": str(tmp_path / "answer")}
    ran = subprocess.run([folder / "run.sh"], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "failed (round/model): 1/bad_net 2/bad_net;" in ran.stderr
    outcome = mnasnet("benchmark", f"--android-results={folder}", "--json")
    assert outcome.code == 0, outcome.err
    assert [row["name"] for row in outcome.json["models"]] == ["good"]
    assert outcome.json["models"][0]["round_medians_ms"] == [11.891, 11.891]
    assert [(fault["name"], fault["message"]) for fault in outcome.json["failed"]] == [("bad net", "CANNOT LINK")] * 2
    assert outcome.err.count("bad net: no result in") == 2
    for file in folder.glob("results/*/good.txt"):
        file.unlink()
    assert "holds no result: CANNOT LINK" in last_error_of(mnasnet("benchmark", f"--android-results={folder}"))


def test_names_on_a_phone_need_no_quotes():
    assert file_name("runs/my net ×1.4", {}) == "runs_my_net_1.4"
    assert file_name("××", {}) == "model"


def test_a_table_leaves_out_what_nobody_knows(tmp_path: Path):
    from mnasnet_cli.latency.report import write_report

    timing = Timing(Subject("x", "x"), {"file_bytes": 1, "image_size": 32}, [[0.001]], 2, 1).summary()
    titles, rows = table([timing])
    assert "published top-1" not in titles
    assert len(rows[0]) == len(titles)
    assert as_csv([timing]).splitlines()[1].startswith("x,,,")
    paths = write_report({"models": [timing]}, tmp_path)
    assert [path.name for path in paths] == ["latency.json", "latency.csv"]
    assert json.loads(paths[0].read_text())["models"][0]["p50_ms"] == 1.0
