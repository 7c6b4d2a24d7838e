"""Slim checkpoints: TF-Slim's names, the Object Detection API's class outputs, and the way back."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from mnasnet_cli.checkpoints.files import find_checkpoint
from mnasnet_cli.commands.import_ import exported_settings
from mnasnet_cli.export.slim_checkpoint import slim_predictor, write_slim_checkpoint
from mnasnet_cli.inference.manifest import MANIFEST_FILE, ExportedSettings
from mnasnet_cli.inference.model import load_model
from mnasnet_cli.nets.detector_spec import HEADS_SCOPE


def test_a_classifier_s_weights_are_stored_as_they_are(exported_classifier, made_classifier):
    loaded = load_model(find_checkpoint(str(made_classifier)))
    reader = tf.train.load_checkpoint(str(exported_classifier / "slim-checkpoint" / "model.ckpt"))
    assert set(reader.get_variable_to_shape_map()) == {*loaded.contents.weights, "global_step"}
    assert reader.get_tensor("global_step") == 7
    for name, value in loaded.contents.weights.items():
        np.testing.assert_array_equal(reader.get_tensor(name), value, err_msg=name)


def test_a_detector_has_the_api_s_class_outputs(exported_detector, made_detector):
    loaded = load_model(find_checkpoint(str(made_detector)))
    reader = tf.train.load_checkpoint(str(exported_detector / "slim-checkpoint" / "model.ckpt"))
    names = set(reader.get_variable_to_shape_map())
    assert names == {*loaded.contents.weights, "global_step"}
    assert {name.split("/")[0] for name in names} == {
        "FeatureExtractor",
        "WeightSharedConvolutionalBoxPredictor",
        "global_step",
    }
    ids, anchors = loaded.postprocessing.category_ids, loaded.config.detection.spec.anchors
    prior = np.float32(loaded.config.detection.spec.class_bias)
    for name, value in loaded.contents.weights.items():
        stored = reader.get_tensor(name)
        if stored.shape != value.shape:  # a background, and an output for every id up to the largest
            assert "/ClassPredictor/" in name
            outputs = stored.reshape(*value.shape[:-1], anchors, max(ids) + 1)
            empty = np.delete(outputs, ids, axis=-1)
            np.testing.assert_array_equal(empty, prior if name.endswith("/biases") else 0)
            stored = outputs[..., list(ids)].reshape(value.shape)
        np.testing.assert_array_equal(stored, value)
    assert reader.get_tensor(f"{HEADS_SCOPE}/ClassPredictor/biases").shape == (anchors * (max(ids) + 1),)
    [note] = json.loads((exported_detector / "slim-checkpoint" / MANIFEST_FILE).read_text())["notes"]
    assert f"{max(ids) + 1} outputs" in note
    assert f"num_classes {max(ids)}" in note


def test_tensorflow_1_finds_the_checkpoint_by_its_folder(exported_detector):
    assert tf.train.latest_checkpoint(str(exported_detector / "slim-checkpoint")).endswith("model.ckpt")


@pytest.mark.parametrize("ids", [(0, 4, 7), pytest.param((1, 4, 1001), marks=pytest.mark.variation)])
def test_ids_that_cannot_be_output_numbers_leave_the_outputs(made_detector, tmp_path, ids):
    loaded = load_model(find_checkpoint(str(made_detector)))
    loaded = dataclasses.replace(loaded, postprocessing=dataclasses.replace(loaded.postprocessing, category_ids=ids))
    artifact = write_slim_checkpoint(loaded, tmp_path)
    [note] = artifact.notes
    assert "1000" in note
    biases = f"{HEADS_SCOPE}/ClassPredictor/biases"
    stored = tf.train.load_checkpoint(str(artifact.path)).get_tensor(biases)
    np.testing.assert_array_equal(stored, loaded.contents.weights[biases])
    predict = slim_predictor(loaded, artifact.path)
    assert predict(np.zeros((1, 64, 64, 3), np.float32))["detection_boxes"].shape == (1, 100, 4)


@pytest.mark.parametrize("name", ["", "model.ckpt"])
def test_import_finds_the_preprocessing_in_the_manifest(exported_classifier, name):
    settings = exported_settings(exported_classifier / "slim-checkpoint" / name)
    assert settings.net == {}
    assert settings.preprocessing.items() >= {"image_size": 32, "antialias": True, "crop_fraction": 0.875}.items()
    assert exported_settings(exported_classifier / "frozen" / "model.pb") == ExportedSettings()
    assert exported_settings(exported_classifier / "elsewhere") == ExportedSettings()
