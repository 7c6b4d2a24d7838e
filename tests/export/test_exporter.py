"""Exports of all formats: their manifests, and what happens to an artifact that fails the comparison."""

from __future__ import annotations

import json
import os
import shutil
import stat

import pytest

from mnasnet_cli.checkpoints.files import find_checkpoint
from mnasnet_cli.errors import CheckFailed, DataError, EnvironmentProblem
from mnasnet_cli.export.artifact import STATE_DICT_FORMATS, Format
from mnasnet_cli.export.exporter import WRITERS, export_model, raise_for_faults
from mnasnet_cli.export.parity import TOLERANCES, Tolerance
from mnasnet_cli.inference.manifest import FORMATS, read_manifest

ARTIFACTS = {
    "saved-model": "saved-model/1",
    "frozen": "frozen/model.pb",
    "tflite": "tflite/model.tflite",
    "tflite-fp16": "tflite-fp16/model.tflite",
    "tflite-int8": "tflite-int8/model.tflite",
    "onnx": "onnx/model.onnx",
    "slim-checkpoint": "slim-checkpoint/model.ckpt",
    "web": "web/model.tflite",
}
IMPOSSIBLE = Tolerance(logits=-1.0, scores=0.0, iou=1.0, agreement=1.0)


@pytest.fixture(params=["classifier", "detector"])
def exported(request):
    return request.getfixturevalue(f"exported_{request.param}")


def _export(run, out, *formats, data=None, **options):
    return export_model(find_checkpoint(str(run)), out, formats, data=data, parity_images=2, **options)


def test_every_format_has_a_writer():
    assert list(WRITERS) == list(Format) == [*FORMATS, *STATE_DICT_FORMATS]
    assert set(TOLERANCES) == set(FORMATS)


@pytest.mark.parametrize("format", FORMATS)
def test_a_manifest_describes_the_model_and_the_comparison(exported, format):
    manifest = read_manifest(exported / ARTIFACTS[format])
    assert manifest.format == format
    assert manifest.step == 7
    assert manifest.params > 1000
    assert manifest.multiply_adds > 100_000
    for name in manifest.files:
        assert (exported / format / name).is_file(), name
    assert manifest.parity["images"] >= 4
    assert manifest.parity["agreement"] >= TOLERANCES[format].agreement
    assert "4 images of" in manifest.parity["on"]
    if manifest.task == "detection":
        assert manifest.category_ids == (1, 4, 7)
        assert manifest.postprocessing.inside == (format != "tflite-int8")
        assert manifest.parity["counted"] > 20  # there were boxes to compare
        assert bool(manifest.notes) == (format in ("slim-checkpoint", "web"))
    else:
        assert manifest.names == ("ant", "bee", "cat", "dog")
        assert bool(manifest.notes) == (format == "web")


def test_no_temporary_folder_is_left(exported):
    assert sorted(path.name for path in exported.iterdir()) == sorted(FORMATS)


def test_an_artifact_over_its_tolerance_does_not_replace_an_older_one(
    made_classifier, exported_classifier, tmp_path, monkeypatch
):
    shutil.copytree(exported_classifier / "frozen", tmp_path / "out" / "frozen")
    before = (tmp_path / "out" / "frozen" / "model.pb").read_bytes()
    monkeypatch.setitem(TOLERANCES, "frozen", IMPOSSIBLE)
    (bad,) = _export(made_classifier, tmp_path / "out", "frozen")
    assert "-1" in bad.fault
    assert bad.comparison is not None
    assert (tmp_path / "out" / "frozen" / "model.pb").read_bytes() == before
    (elsewhere,) = _export(made_classifier, tmp_path / "new" / "folder", "frozen")
    assert elsewhere.fault
    assert not (tmp_path / "new").exists()


def test_an_artifact_over_its_tolerance_can_be_accepted(made_classifier, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(TOLERANCES, "frozen", IMPOSSIBLE)
    (kept,) = _export(made_classifier, tmp_path / "out", "frozen", accept_parity=True)
    assert (kept.fault, kept.path.is_file()) == ("", True)
    assert "-1" in kept.accepted
    assert kept.as_dict()["accepted"] == kept.accepted
    assert read_manifest(kept.path).parity["accepted"] == kept.accepted
    assert "kept because of --accept-parity" in capsys.readouterr().err
    raise_for_faults([kept])


def test_faults_are_raised_together(made_classifier, tmp_path, monkeypatch):
    def fail(job, folder):
        raise CheckFailed("no such operation")

    monkeypatch.setitem(WRITERS, "tflite", fail)
    monkeypatch.setitem(TOLERANCES, "frozen", IMPOSSIBLE)
    results = _export(made_classifier, tmp_path / "out", "tflite", "frozen", "slim-checkpoint")
    assert [(result.format, bool(result.fault)) for result in results] == [
        ("tflite", True),
        ("frozen", True),
        ("slim-checkpoint", False),
    ]
    assert results[0].as_dict()["parity"] is None
    with pytest.raises(CheckFailed, match=r"tflite: no such operation; frozen: .*-1"):
        raise_for_faults(results)
    raise_for_faults(results[2:])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["slim-checkpoint"]


def test_a_detector_that_finds_nothing_is_a_warning(tmp_path, capsys):
    from made_models import detector_config, make_checkpoint

    make_checkpoint(tmp_path / "run", detector_config(score_threshold=0.9999), ["1", "2"])
    (result,) = _export(tmp_path / "run", tmp_path / "out", "slim-checkpoint")
    assert (result.fault, result.comparison.counted, result.comparison.agreement) == ("", 0, None)
    assert "0.05" in capsys.readouterr().err


def test_int8_needs_records(made_detector, tmp_path):
    with pytest.raises(DataError, match=r"--data.*`mnasnet prepare-coco`"):
        _export(made_detector, tmp_path / "out", "frozen", "tflite-int8")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_an_export_is_not_replaced(made_classifier, tmp_path):
    (tmp_path / "onnx").mkdir()
    (tmp_path / "tflite").mkdir()  # is empty
    (tmp_path / "onnx" / "mine").write_text("")
    with pytest.raises(DataError, match=f"{tmp_path / 'onnx'}.*manifest.json"):
        _export(made_classifier, tmp_path, "tflite", "onnx")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["mine", "onnx", "tflite"]


def test_a_full_disk_leaves_nothing(made_classifier, tmp_path, monkeypatch):
    def full(descriptor):
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(EnvironmentProblem, match=r"no space left on device.*--out"):
        _export(made_classifier, tmp_path / "out", "frozen")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.variation
def test_a_state_dict_is_a_format_like_the_others(made_b1, tmp_path):
    pytest.importorskip("safetensors")
    results = _export(made_b1, tmp_path / "out", "timm", "slim-checkpoint")
    assert [result.format for result in results] == ["slim-checkpoint", "timm"]  # state dicts come last
    entry = results[1].as_dict()
    path = tmp_path / "out" / "timm" / "model.safetensors"
    assert (entry["path"], entry["bytes"]) == (str(path), path.stat().st_size)
    assert (entry["ok"], entry["fault"], entry["parity"]) == (True, None, {"identical": True})
    assert entry["code"].startswith("timm.create_model('mnasnet_050'")
    assert json.loads((path.parent / "manifest.json").read_text())["code"] == entry["code"]
