"""The classifier of a configuration."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from made_models import classifier_config

from mnasnet_cli.modules.classifier import is_classifier, make_classifier

pytestmark = pytest.mark.usefixtures("tiny_net")
IMAGES = tf.random.stateless_uniform([2, 32, 32, 3], [0, 1])


def test_returns_logits_of_the_classes() -> None:
    model = make_classifier(classifier_config(), 5)
    logits = model(IMAGES, is_training=False)
    assert (logits.shape, logits.dtype) == ((2, 5), tf.float32)
    last_layer = [name for name in model.weights if is_classifier(name)]
    assert [model.weights[name].shape[-1] for name in last_layer] == [5, 5]


def test_dropout_depends_on_the_seed_only() -> None:
    config = classifier_config()
    config = config.model_copy(update={"model": config.model.model_copy(update={"dropout": 0.5})})
    model = make_classifier(config, 5)

    def train(*seed: int) -> np.ndarray:
        return model(IMAGES, is_training=True, seed=tf.constant(seed), frozen_until="layer_4").numpy()

    assert (train(1, 2) == train(1, 2)).all()
    assert (train(1, 2) != train(1, 3)).any()


def test_batch_norm_of_frozen_layers_keeps_its_statistics() -> None:
    model = make_classifier(classifier_config(), 5)
    before = {name: weight.numpy() for name, weight in model.weights.items()}
    model(IMAGES, is_training=True, frozen_until="layer_1", batch_norm_decay=0.5)
    changed = {name for name, weight in model.weights.items() if (weight.numpy() != before[name]).any()}
    assert all(name.endswith(("moving_mean", "moving_variance")) for name in changed)
    assert "Mnasnet/Conv/BatchNorm/moving_mean" not in changed
    assert "Mnasnet/Conv_1/BatchNorm/moving_mean" in changed
