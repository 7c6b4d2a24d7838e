"""An export that fails: what is refused, and what is left of it."""

from __future__ import annotations

import pytest
import tensorflow as tf

from mnasnet_cli.checkpoints.files import find_checkpoint
from mnasnet_cli.errors import DataError, EnvironmentProblem
from mnasnet_cli.export import exporter, staging
from mnasnet_cli.export.parity import TOLERANCES, Tolerance


def _export(run, out, *formats, data=None):
    return exporter.export_model(find_checkpoint(str(run)), out, formats, data=data, parity_images=2)


def test_an_artifact_that_is_another_model_is_refused_and_what_was_there_stays(made_classifier, tmp_path, monkeypatch):
    (good,) = _export(made_classifier, tmp_path / "out", "frozen")
    assert good.fault == ""
    before = (tmp_path / "out" / "frozen" / "model.pb").read_bytes()
    monkeypatch.setitem(TOLERANCES, "frozen", Tolerance(logits=-1.0, scores=0.0, iou=1.0, agreement=1.0))
    (bad,) = _export(made_classifier, tmp_path / "out", "frozen")
    assert "is allowed" in bad.fault
    assert (tmp_path / "out" / "frozen" / "model.pb").read_bytes() == before
    (elsewhere,) = _export(made_classifier, tmp_path / "new" / "place", "frozen")
    assert elsewhere.fault
    assert not (tmp_path / "new").exists()


def test_integers_need_real_images(made_detector, tmp_path):
    with pytest.raises(DataError, match=r"--data \(`mnasnet prepare-coco` makes them\)"):
        _export(made_detector, tmp_path / "out", "frozen", "tflite-int8")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_one_line(made_classifier, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentProblem, match="not a directory"):
        _export(made_classifier, tmp_path / "file" / "out", "frozen")


def test_what_is_no_export_stays(made_classifier, tmp_path):
    (tmp_path / "onnx").mkdir()
    (tmp_path / "tflite").mkdir()  # is empty
    (tmp_path / "onnx" / "mine").write_text("")
    with pytest.raises(DataError, match="is in the way and no export"):
        _export(made_classifier, tmp_path, "tflite", "onnx")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["mine", "onnx", "tflite"]


def test_a_full_disk_leaves_nothing(made_classifier, tmp_path, monkeypatch):
    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(EnvironmentProblem, match=r"no space left on device.*--out"):
        _export(made_classifier, tmp_path / "out", "frozen")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_export_left_is_removed(tmp_path):
    for name in (".frozen.999999999.tmp", ".frozen.1.tmp"):  # the second is alive
        (tmp_path / name).mkdir()
    with staging.staged_folder(tmp_path / "frozen") as folder:
        (folder / "file").write_text("new")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".frozen.1.tmp", "frozen"]


def test_a_failure_from_tensorflow_is_one_line(tmp_path):
    with pytest.raises(EnvironmentProblem, match="no space left"), staging.staged_folder(tmp_path / "a"):
        raise tf.errors.ResourceExhaustedError(None, None, "part; No space left on device\nmore")
    assert not list(tmp_path.iterdir())
