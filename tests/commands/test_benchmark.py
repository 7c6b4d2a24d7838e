"""`mnasnet benchmark`: measurements, results of a phone, and arguments that are refused."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from outcomes import error_of, last_error_of

from mnasnet_cli.config.pre_postprocessing import Preprocessing
from mnasnet_cli.inference.manifest import Manifest
from mnasnet_cli.nets.spec import get_spec, multiply_adds

RESULT = """\
INFO: Graph: [/data/local/tmp/mnasnet-benchmark/b1.tflite]
INFO: count=20 first=12162 curr=11785 min=11088 max=13105 avg=11743.2 std=716 p5=11620 median=11891 p95=12628
INFO: Inference timings in us: Init: 19515, First inference: 87112, Warmup (avg): 58147.4, Inference (avg): 11743.2
"""


def artifact(folder: Path, suffix: str) -> Path:
    """An empty file with the manifest of an export for 224 px."""
    folder.mkdir(parents=True)
    images = Preprocessing(224, 0.875, True, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    Manifest(suffix, "classification", "b1", 1.0, ("1",), ("1",), images, None, "runs/x/ckpt-7", 7, False).write(folder)
    (folder / f"model.{suffix}").write_bytes(b"")
    return folder / f"model.{suffix}"


@pytest.mark.slow
def test_variants_are_measured(mnasnet, tmp_path):
    made = mnasnet("benchmark", "small", "--width=0.35", "--image-size=32", f"--android={tmp_path / 'phone'}", "--json")
    assert made.code == 0, made.err
    [file] = made.json["models"]
    # A file without its manifest is not a model.
    assert "manifest.json" in last_error_of(mnasnet("benchmark", file))
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
def test_the_grid_has_all_input_sizes(mnasnet):
    outcome = mnasnet("benchmark", "--all", "small", "--width=0.35", "--runs=2", "--rounds=1", "--format=csv")
    assert outcome.code == 0, outcome.err
    rows = list(csv.DictReader(io.StringIO(outcome.out)))
    assert [row["image_size"] for row in rows] == ["128", "160", "192", "224"]
    counts = [int(row["multiply_adds"]) for row in rows]
    assert counts == sorted(counts)


@pytest.mark.parametrize("flag", ["--int8", "--width=0.5"])
def test_flags_for_variants_need_a_variant(mnasnet, tmp_path, flag):
    file = artifact(tmp_path / "tflite", "tflite")
    name = flag.partition("=")[0]
    assert name in error_of(mnasnet("benchmark", file, flag))
    assert name in error_of(mnasnet("benchmark", f"--android-results={tmp_path}", flag))


def test_the_destination_is_checked_before_the_work(mnasnet, tmp_path, monkeypatch):
    monkeypatch.setattr("mnasnet_cli.latency.variants.convert_variant", lambda *_, **__: pytest.fail("converted"))
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file/below"):
        assert f"--out {out} " in error_of(mnasnet("benchmark", "small", f"--out={out}"))
    monkeypatch.setattr("os.access", lambda *_: False)  # root can write everywhere
    assert f"{tmp_path} " in error_of(mnasnet("benchmark", "small", f"--out={tmp_path / 'new'}"))
    assert not (tmp_path / "new").exists()


def test_a_phone_needs_tflite_files(mnasnet, tmp_path):
    file = artifact(tmp_path / "onnx", "onnx")
    for model in (file, file.parent):
        line = error_of(mnasnet("benchmark", model, f"--android={tmp_path / 'phone'}"))
        assert "`mnasnet export runs/x/ckpt-7 --format tflite`" in line
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints/ckpt-7.index").touch()
    line = error_of(mnasnet("benchmark", run, f"--android={tmp_path / 'phone'}"))
    assert f"`mnasnet export {run} --format tflite`" in line


def test_an_exported_folder_keeps_its_image_size_on_a_phone(mnasnet, tmp_path):
    folder = artifact(tmp_path / "tflite", "tflite").parent
    line = error_of(mnasnet("benchmark", folder, "--image-size=96", f"--android={tmp_path / 'phone'}"))
    for fact in (str(folder), "224 px", "--image-size 96"):
        assert fact in line
    outcome = mnasnet("benchmark", folder, f"--android={tmp_path / 'phone'}", "--json")
    assert outcome.code == 0, outcome.err
    [copy] = outcome.json["models"]
    assert Path(copy).parent == tmp_path / "phone/models"


def test_faulty_arguments_are_one_line(mnasnet, tmp_path):
    assert "--all" in last_error_of(mnasnet("benchmark"))
    assert "did you mean 'small'?" in last_error_of(mnasnet("benchmark", "smal"))
    assert "runs/x" in last_error_of(mnasnet("benchmark", "--all", "runs/x"))
    assert "--android-results" in last_error_of(mnasnet("benchmark", "b1", f"--android-results={tmp_path}"))
    assert "run.sh" in last_error_of(mnasnet("benchmark", f"--android-results={tmp_path}"))
    assert "--format" in last_error_of(mnasnet("benchmark", "b1", "--json", "--format=csv"))


def test_a_file_of_results(mnasnet, tmp_path):
    (tmp_path / "log.txt").write_text(RESULT)
    outcome = mnasnet("benchmark", f"--android-results={tmp_path / 'log.txt'}", "--json")
    assert outcome.code == 0, outcome.err
    [row] = outcome.json["models"]
    assert (row["name"], row["p50_ms"], row["estimate"], row["p99_ms"]) == ("b1", 11.891, "median", None)
    rows = list(csv.DictReader(io.StringIO(mnasnet("benchmark", f"--android-results={tmp_path / 'log.txt'}",
                                                   "--format=csv").out)))  # fmt: skip
    assert [(row["name"], row["p50_ms"]) for row in rows] == [("b1", "11.891")]


def test_a_folder_of_results_with_a_failure(mnasnet, tmp_path):
    results = tmp_path / "results/round-1"
    results.mkdir(parents=True)
    (tmp_path / "results/device.txt").write_text("ro.product.model=Phone 3\n")
    (results / "b1.txt").write_text(RESULT)
    (results / "a1.txt").write_text("CANNOT LINK")
    outcome = mnasnet("benchmark", f"--android-results={tmp_path}")
    assert outcome.code == 0, outcome.err
    for fact in ("Phone 3", "b1", "11.89"):
        assert fact in outcome.out
    for fact in ("a1", "CANNOT LINK", str(results / "a1.txt")):
        assert fact in outcome.err
    report = mnasnet("benchmark", f"--android-results={tmp_path}", "--json").json
    assert [fault["name"] for fault in report["failed"]] == ["a1"]
