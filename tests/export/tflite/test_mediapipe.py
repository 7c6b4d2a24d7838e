"""TFLite files for MediaPipe Tasks: those by default, and those that normalize pixels themselves."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

from mnasnet_cli.checkpoints.files import find_checkpoint
from mnasnet_cli.errors import ConfigError
from mnasnet_cli.export.exporter import export_model, raise_for_faults
from mnasnet_cli.inference.runner import open_model

FLOATS, INTEGERS = "tflite", "tflite-int8"


def _export(run, records, out, *formats):
    results = export_model(
        find_checkpoint(str(run)), out, formats, data=records, parity_images=2, calibration_images=12, mediapipe=True
    )
    raise_for_faults(results)
    return out


@pytest.fixture(scope="module")
def classifier(made_classifier, shape_records, tmp_path_factory):
    return _export(made_classifier, shape_records, tmp_path_factory.mktemp("classifier"), FLOATS, INTEGERS)


@pytest.fixture(scope="module")
def detector(made_detector, scene_records, tmp_path_factory):
    return _export(made_detector, scene_records, tmp_path_factory.mktemp("detector"), FLOATS)


def _manifest(folder, format):
    return json.loads((folder / format / "manifest.json").read_text())


@pytest.mark.parametrize("format", [FLOATS, INTEGERS])
def test_a_classifier_takes_pixels_and_gives_probabilities_first(classifier, made_classifier, format):
    manifest = _manifest(classifier, format)
    assert manifest["preprocessing"]["mean"] == [0, 0, 0]
    assert manifest["preprocessing"]["deviation"] == [1, 1, 1]
    assert manifest["mediapipe"]["runs"]
    assert manifest["mediapipe"]["same_normalization"]
    (source,) = manifest["signature"]["inputs"].values()
    if format == INTEGERS:
        assert (source["dtype"], source["scale"], source["zero_point"]) == ("uint8", 1.0, 0)
    else:
        assert source["dtype"] == "float32"

    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(classifier / format / "model.tflite"))
    first = interpreter.get_output_details()[0]["index"]
    assert interpreter.get_signature_runner().get_output_details()["probabilities"]["index"] == first


@pytest.mark.parametrize("format", [FLOATS, INTEGERS])
def test_a_file_with_pixels_predicts_as_its_checkpoint(classifier, made_classifier, repo, format):
    image = (repo / "tests/fixtures/shape.jpg").read_bytes()
    ours = open_model(str(classifier / format / "model.tflite"))
    theirs = open_model(str(made_classifier))
    found = ours.predict_tensors(ours.preprocess(image)[np.newaxis])
    expected = theirs.predict_tensors(theirs.preprocess(image)[np.newaxis])["logits"]
    assert set(found) == {"logits"}
    tolerance = 1e-3 if format == FLOATS else 0.35 * np.abs(expected).max()
    np.testing.assert_allclose(found["logits"], expected, atol=tolerance)


def test_the_labels_are_inside(exported_classifier, exported_detector):
    for format in ("tflite", "tflite-fp16", "tflite-int8"):
        with zipfile.ZipFile(exported_classifier / format / "model.tflite") as archive:
            assert archive.read("labels.txt").split() == [b"a", b"b", b"c", b"d"]
            assert archive.read("names.txt").split() == [b"ant", b"bee", b"cat", b"dog"]
        with zipfile.ZipFile(exported_detector / format / "model.tflite") as archive:
            lines = archive.read("labels.txt").decode().split()
        assert (lines[1], lines[4], lines[7]) == ("circle", "square", "triangle")  # the line is the category id
        assert {*lines[:1], *lines[2:4], *lines[5:7]} == {"???"}


def test_the_manifest_says_which_files_mediapipe_runs(exported_classifier, exported_detector, detector):
    runs = [_manifest(exported_classifier, format)["mediapipe"] for format in ("tflite", "tflite-fp16", "tflite-int8")]
    assert [one["runs"] for one in runs] == [True, True, False]
    assert not any(one["same_normalization"] for one in runs)  # ImageNet's means differ
    assert runs[0]["mean"] == pytest.approx((123.675 + 116.28 + 103.53) / 3)
    assert not _manifest(exported_detector, "tflite")["mediapipe"]["runs"]
    assert _manifest(detector, "tflite")["mediapipe"]["runs"]
    assert _manifest(exported_classifier, "onnx")["mediapipe"] == {}


def test_a_detector_gives_floats_and_predicts_as_its_checkpoint(detector, made_detector, repo):
    outputs = _manifest(detector, "tflite")["signature"]["outputs"]
    assert {one["dtype"] for one in outputs.values()} == {"float32"}
    image = (repo / "tests/fixtures/scene.jpg").read_bytes()
    runners = [open_model(str(path)) for path in (detector / "tflite" / "model.tflite", made_detector)]
    found, expected = (one.predict_tensors(one.preprocess(image)[np.newaxis]) for one in runners)
    assert found["detection_classes"].dtype == np.int32
    np.testing.assert_allclose(found["detection_scores"], expected["detection_scores"], atol=1e-4)


def test_what_makes_no_sense_is_refused(made_classifier, made_detector, scene_records, tmp_path):
    with pytest.raises(ConfigError, match="TFLite files only"):
        _export(made_classifier, None, tmp_path, "frozen")
    with pytest.raises(ConfigError, match="raw heads"):
        _export(made_detector, scene_records, tmp_path, INTEGERS)


@pytest.mark.variation
@pytest.mark.usefixtures("tiny_net")
def test_the_flag_reaches_the_file(mnasnet, made_classifier, tmp_path):
    outcome = mnasnet(
        "export", made_classifier, "--out", tmp_path, "--format", FLOATS, "--mediapipe", "--parity-images", 2
    )
    assert outcome.code == 0, outcome.err
    assert _manifest(tmp_path, FLOATS)["preprocessing"]["mean"] == [0, 0, 0]


def test_inspect_says_what_mediapipe_does(mnasnet, exported_classifier, classifier):
    for folder, format, text in (
        (exported_classifier, "tflite", "one mean and one deviation"),
        (exported_classifier, "tflite-int8", "--mediapipe"),
        (classifier, "tflite-int8", "runs this file"),
    ):
        shown = mnasnet("inspect", folder / format / "model.tflite").out
        assert text in " ".join(shown.replace("│", " ").split())
        assert "labels.txt" in shown
