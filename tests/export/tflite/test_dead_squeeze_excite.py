"""Squeeze-excites whose units are 0 on all calibration images."""

from __future__ import annotations

import dataclasses
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
from made_models import classifier_config, make_checkpoint
from tiny_net import TINY

from mnasnet_cli.checkpoints.files import find_checkpoint
from mnasnet_cli.export.sample_images import in_batches
from mnasnet_cli.export.tflite.dead_squeeze_excite import replace_dead_units
from mnasnet_cli.export.tflite.int8 import measure_activations
from mnasnet_cli.inference.model import load_model, with_weights
from mnasnet_cli.nets.spec import NETS


@pytest.fixture(scope="module")
def alive(tmp_path_factory):
    """A net with two squeeze-excites."""
    first, second = TINY.stages
    twice = dataclasses.replace(TINY, name="twice", stages=(first, dataclasses.replace(second, repeats=2)))
    run = tmp_path_factory.mktemp("twice")
    with mock.patch.dict(NETS, {"twice": twice}):
        make_checkpoint(run, classifier_config("twice"), ["a", "b", "c", "d"])
        yield load_model(find_checkpoint(str(run)))


@pytest.fixture
def dead(alive):
    """The net with the first of its squeeze-excites dead, as training may leave it."""
    scope = _scopes(alive)[0]
    bias = alive.contents.weights[f"{scope}/biases"]
    return with_weights(alive, {f"{scope}/biases": -50.0 * (1 + np.arange(len(bias), dtype=np.float32))})


@pytest.fixture(scope="module")
def tensors():
    return np.random.default_rng(0).normal(size=(8, 32, 32, 3)).astype(np.float32)


def _scopes(loaded):
    names = sorted(loaded.contents.weights)
    return [name.removesuffix("/biases") for name in names if name.endswith("excitation_reduce/biases")]


def _logits(loaded, tensors):
    return loaded.model(tf.constant(tensors), is_training=False).numpy()


def _repair(loaded, tensors):
    squeezes = measure_activations(loaded, in_batches(tensors, 4)).squeezes
    return replace_dead_units(loaded, squeezes, np.ones(len(tensors), bool))


def test_the_unit_furthest_below_0_becomes_a_constant_that_is_ignored(dead, tensors):
    repaired, notes = _repair(dead, tensors)
    scope, other = _scopes(dead)
    [note] = notes
    last = len(dead.contents.weights[f"{scope}/biases"]) - 1  # has the lowest bias
    for fact in (f"{scope}:", f"all {last + 1} units", f"unit {last} "):
        assert fact in note
    weights = repaired.contents.weights
    assert not weights[f"{scope}/weights"][..., last].any()
    assert weights[f"{scope}/biases"][last] > 1
    changed = {name for name in weights if not np.array_equal(weights[name], dead.contents.weights[name])}
    assert all(name.startswith(scope.rpartition("/")[0]) for name in changed)
    assert not any(name.startswith(other) for name in changed)
    np.testing.assert_array_equal(_logits(repaired, tensors), _logits(dead, tensors))


def test_a_net_without_dead_units_stays(alive, tensors):
    repaired, notes = _repair(alive, tensors)
    assert repaired is alive
    assert notes == []


def test_only_calibration_images_count(alive):
    """A bottleneck that fires on another image only is dead; the unit that fires there is not the one replaced."""
    scope = _scopes(alive)[0]
    units = len(alive.contents.weights[f"{scope}/biases"])
    inputs = -np.ones((3, units), np.float32)
    inputs[2, :] = 1.0
    inputs[2, 1] = 0.5
    _, notes = replace_dead_units(alive, {scope: inputs}, np.array([True, True, False]))
    assert "unit 1 " in notes[0]
    _, notes = replace_dead_units(alive, {scope: inputs}, np.array([True, True, True]))
    assert notes == []
