"""`mnasnet benchmark`: what is refused before anything is measured."""

from __future__ import annotations

from pathlib import Path

import pytest
from outcomes import error_of

from mnasnet_cli.config.model_io import Preprocessing
from mnasnet_cli.inference.manifest import Manifest


def _artifact(folder: Path, suffix: str) -> Path:
    """A file that was exported for 224 px, as far as its manifest goes."""
    folder.mkdir(parents=True)
    images = Preprocessing(224, 0.875, True, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    Manifest(suffix, "classifier", "b1", 1.0, ("1",), ("1",), images, None, "runs/x/ckpt-7", 7, False).write(folder)
    (folder / f"model.{suffix}").write_bytes(b"")
    return folder / f"model.{suffix}"


@pytest.mark.parametrize("flag", ["--int8", "--width=0.5"])
def test_flags_of_bare_variants_without_one(mnasnet, tmp_path, flag):
    file = _artifact(tmp_path / "tflite", "tflite")
    name = flag.partition("=")[0]
    expected = f"error: {name} is for bare variants such as b1, and none is named; leave it away"
    assert error_of(mnasnet("benchmark", file, flag)) == f"{expected}, since a model has its own"
    assert error_of(mnasnet("benchmark", f"--android-results={tmp_path}", flag)) == expected


def test_a_destination_that_cannot_be_written_is_said_first(mnasnet, tmp_path, monkeypatch):
    monkeypatch.setattr("mnasnet_cli.latency.variants.convert", lambda *_, **__: pytest.fail("it has begun to work"))
    (tmp_path / "file").touch()
    for out, words in ((tmp_path / "file", "is a file"), (tmp_path / "file/below", "can't be written")):
        assert f"--out {out} {words}" in error_of(mnasnet("benchmark", "small", f"--out={out}"))
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write everywhere
    assert f"{tmp_path} is read-only" in error_of(mnasnet("benchmark", "small", f"--out={tmp_path / 'new'}"))
    assert not (tmp_path / "new").exists()


def test_an_artifact_that_is_not_for_phones_names_what_can_be_exported(mnasnet, tmp_path):
    file = _artifact(tmp_path / "onnx", "onnx")
    for model in (file, file.parent):
        line = error_of(mnasnet("benchmark", model, f"--android={tmp_path / 'phone'}"))
        assert line.endswith("is no TFLite file; make one with `mnasnet export runs/x/ckpt-7 --format tflite`")
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints/ckpt-7.index").touch()
    line = error_of(mnasnet("benchmark", run, f"--android={tmp_path / 'phone'}"))
    assert line.endswith(f"make one with `mnasnet export {run} --format tflite`")


def test_the_folder_of_an_export_goes_to_a_phone_with_its_own_size(mnasnet, tmp_path):
    folder = _artifact(tmp_path / "tflite", "tflite").parent
    line = error_of(mnasnet("benchmark", folder, "--image-size=96", f"--android={tmp_path / 'phone'}"))
    assert f"{folder} was exported for images of 224 px; leave --image-size away, or export it again" in line
    outcome = mnasnet("benchmark", folder, f"--android={tmp_path / 'phone'}", "--json")
    assert outcome.code == 0, outcome.err
    [copy] = outcome.json["models"]
    assert Path(copy).parent == tmp_path / "phone/models"
