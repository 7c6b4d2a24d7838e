"""Squeeze-excites that are silent on all calibration images, as integers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from mnasnet_cli.checkpoints.files import find_checkpoint
from mnasnet_cli.export.parity import compare
from mnasnet_cli.export.sample_images import Samples
from mnasnet_cli.export.tflite.calibration import in_batches, observe
from mnasnet_cli.export.tflite.converter import write_tflite
from mnasnet_cli.export.tflite.dead_squeeze_excite import awakened
from mnasnet_cli.export.tflite.int8 import write_integers
from mnasnet_cli.inference.manifest import read_manifest
from mnasnet_cli.inference.model import load_model, with_weights
from mnasnet_cli.inference.tflite import TfliteRunner


@pytest.fixture
def alive(made_classifier):
    return load_model(find_checkpoint(str(made_classifier)))


@pytest.fixture
def silent(alive):
    """The net with the first of its two squeeze-excites silenced, as training may leave it."""
    scope = _scopes(alive)[0]
    bias = alive.contents.weights[f"{scope}/biases"]
    return with_weights(alive, {f"{scope}/biases": -50.0 * (1 + np.arange(len(bias), dtype=np.float32))})


def _scopes(loaded):
    names = sorted(loaded.contents.weights)
    return [name.removesuffix("/biases") for name in names if name.endswith("excitation_reduce/biases")]


def _tensors(loaded, records, count=8):
    samples = Samples(loaded, records)
    return np.stack(list(samples.tensors(samples.encoded(count))))


def _logits(loaded, tensors):
    return loaded.model(tf.constant(tensors), is_training=False).numpy()


def _awakened(loaded, tensors):
    return awakened(loaded, observe(loaded, in_batches(tensors, 4)).squeezes, np.ones(len(tensors), bool))


def test_the_unit_that_is_furthest_from_speaking_becomes_a_constant_without_listeners(silent, shape_records):
    tensors = _tensors(silent, shape_records)
    awake, notes = _awakened(silent, tensors)
    scope, other = _scopes(silent)
    [note] = notes
    last = len(silent.contents.weights[f"{scope}/biases"]) - 1  # has the lowest bias
    assert f"{scope}: all {last + 1} units were 0" in note
    assert f"unit {last} is a constant" in note
    weights = awake.contents.weights
    assert not weights[f"{scope}/weights"][..., last].any()
    assert weights[f"{scope}/biases"][last] > 1
    changed = {name for name in weights if not np.array_equal(weights[name], silent.contents.weights[name])}
    assert all(name.startswith(scope.rpartition("/")[0]) for name in changed)
    assert not any(name.startswith(other) for name in changed)
    np.testing.assert_array_equal(_logits(awake, tensors), _logits(silent, tensors))


def test_what_speaks_on_any_image_stays(alive, shape_records):
    awake, notes = _awakened(alive, _tensors(alive, shape_records))
    assert awake is alive
    assert notes == []


def test_a_silent_net_runs_as_integers_with_xnnpack(silent, shape_records, tmp_path, capsys):
    written = write_integers(silent, tmp_path, Samples(silent, shape_records), 12)
    assert len(written.notes) == 1
    manifest = dataclasses.replace(silent.manifest("tflite-int8"), notes=written.notes)
    manifest.write(tmp_path)
    assert read_manifest(written.path).notes == written.notes
    runner = TfliteRunner(written.path, manifest)
    tensors = _tensors(silent, shape_records)
    comparison = compare(runner.predict_tensors(tensors), {"logits": _logits(silent, tensors)}, "tflite-int8")
    assert comparison.fault("tflite-int8", "classifier") == ""
    assert capsys.readouterr().err == ""

    # As it would be otherwise, and as files of others may be:
    as_it_is = write_tflite(silent, tmp_path, lambda: iter(tensors))
    TfliteRunner(as_it_is.path, manifest).predict_tensors(tensors)
    assert "runs without XNNPACK" in capsys.readouterr().err
