"""Every format through the one runner: found by its path, equal in what it says, and clear about what is wrong."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from mnasnet_cli.errors import CheckpointError, ConfigError
from mnasnet_cli.inference.runner import detect_model_format, open_model

PATHS = {
    "saved-model": ("saved-model", "saved-model/1", "saved-model/1/saved_model.pb"),
    "frozen": ("frozen", "frozen/model.pb"),
    "tflite": ("tflite", "tflite/model.tflite"),
    "tflite-int8": ("tflite-int8", "tflite-int8/model.tflite"),
    "onnx": ("onnx", "onnx/model.onnx"),
}


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(3, 32, 32, 3)).astype(np.float32)


@pytest.mark.parametrize("model_format", PATHS)
def test_a_format_is_found_by_any_of_its_paths(exported_classifier, model_format):
    found = {detect_model_format(str(exported_classifier / path)) for path in PATHS[model_format]}
    assert len(found) == 1
    assert found.pop()[0] == model_format.removesuffix("-int8")


def test_runs_and_prefixes_are_checkpoints(made_classifier, tmp_path):
    assert detect_model_format(str(made_classifier))[0] == "checkpoint"
    with pytest.raises(CheckpointError, match="no model at"):
        detect_model_format(str(tmp_path / "nothing"))
    for model_format in ("frozen", "tflite"):  # a run whose exports went into its own folder stays a run
        (tmp_path / "run" / model_format).mkdir(parents=True)
        (tmp_path / "run" / model_format / "manifest.json").write_text("{}")
    with pytest.raises(CheckpointError, match="holds 2 exports"):
        detect_model_format(str(tmp_path / "run"))
    (tmp_path / "run" / "checkpoints").mkdir()
    (tmp_path / "run" / "checkpoints" / "ckpt-3.index").touch()
    assert detect_model_format(str(tmp_path / "run")) == ("checkpoint", tmp_path / "run")


@pytest.fixture(scope="module")
def classified(made_classifier, images):
    """What the checkpoint says."""
    return open_model(str(made_classifier)).predict_tensors(images)


@pytest.mark.parametrize("model_format", [model_format for model_format in PATHS if model_format != "tflite-int8"])
def test_all_classifiers_say_the_same(classified, exported_classifier, images, model_format):
    runner = open_model(str(exported_classifier / model_format), threads=1)
    assert (runner.format, runner.task, runner.image_size) == (model_format, "classification", 32)
    outputs = runner.predict_tensors(images)
    assert set(outputs) == {"logits"}
    np.testing.assert_allclose(outputs["logits"], classified["logits"], atol=1e-4)
    call = runner.inference_call(images[:1])
    call()
    assert runner.file_bytes > 1000


@pytest.fixture(scope="module")
def scenes():
    return np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def detected(made_detector, scenes):
    """What the checkpoint finds."""
    return open_model(str(made_detector)).predict_tensors(scenes)


@pytest.mark.parametrize("model_format", PATHS)
def test_all_detectors_give_the_same_four_arrays(detected, exported_detector, scenes, model_format):
    runner = open_model(str(exported_detector / model_format))
    outputs = runner.predict_tensors(scenes)
    assert set(outputs) == {"detection_boxes", "detection_scores", "detection_classes", "num_detections"}
    for name, values in outputs.items():
        assert values.shape == detected[name].shape, name
    assert outputs["detection_classes"].dtype == np.int32
    assert set(outputs["detection_classes"].ravel().tolist()) <= {0, 1, 4, 7}
    if model_format != "tflite-int8":
        np.testing.assert_allclose(outputs["detection_scores"], detected["detection_scores"], atol=1e-4)
    assert bool(runner.timing_note) == (model_format == "tflite-int8")


def test_a_tflite_file_takes_several_images_at_once_for_timing(exported_classifier, images):
    runner = open_model(str(exported_classifier / "tflite"))
    runner.inference_call(images)()
    assert runner.predict_tensors(images)["logits"].shape == (3, 4)  # one at a time again


@pytest.mark.parametrize("model_format", PATHS)
def test_a_file_cut_in_half_is_one_clear_error(exported_classifier, tmp_path, model_format):
    folder = shutil.copytree(exported_classifier / model_format, tmp_path / model_format)
    (file,) = [
        path for path in folder.rglob("*") if path.name in ("saved_model.pb", "model.pb", "model.tflite", "model.onnx")
    ]
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(CheckpointError, match="is damaged"):
        open_model(str(folder))


@pytest.mark.parametrize("model_format", PATHS)
def test_an_artifact_without_its_manifest_is_one_clear_error(exported_classifier, tmp_path, model_format):
    folder = shutil.copytree(exported_classifier / model_format, tmp_path / model_format)
    (folder / "manifest.json").unlink()
    with pytest.raises(CheckpointError, match=r"has no manifest\.json"):
        open_model(str(folder / PATHS[model_format][1].partition("/")[2]))


def test_what_else_can_be_wrong(exported_classifier, exported_detector, tmp_path):
    with pytest.raises(CheckpointError, match="there is no such file"):
        open_model(str(tmp_path / "model.tflite"))
    with pytest.raises(CheckpointError, match=r"holds 8 exports; name one of them: .*tflite-int8"):
        open_model(str(exported_classifier))
    with pytest.raises(ConfigError, match="was exported for images of 32 px"):
        open_model(str(exported_classifier / "tflite"), image_size=64)
    with pytest.raises(CheckpointError, match="TensorFlow 1"):
        open_model(str(exported_classifier / "slim-checkpoint/model.ckpt"))
    for name in ("tflite/model.tflite", "onnx/model.onnx"):
        (tmp_path / name).parent.mkdir()
        shutil.copy(exported_detector / name, tmp_path / name)
        shutil.copy(exported_classifier / name.partition("/")[0] / "manifest.json", (tmp_path / name).parent)
        with pytest.raises(CheckpointError, match=r"its manifest says|is damaged"):
            open_model(str(tmp_path / name))
    (tmp_path / "tflite/model.tflite").write_bytes(b"hello, this is no model at all")
    with pytest.raises(CheckpointError, match=r"is not a TFLite file|is damaged"):
        open_model(str(tmp_path / "tflite/model.tflite"))
