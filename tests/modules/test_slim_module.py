"""Slim functions as modules: their variables, the names, and which of them are trained."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from tiny_net import TINY

from mnasnet_cli.modules.slim_module import SlimModule
from mnasnet_cli.nets.slim_compat import slim
from mnasnet_cli.nets.spec import NETS, PORT_2019


def dense(x: tf.Tensor, is_training: bool = False) -> tf.Tensor:
    # Not slim.fully_connected: it does not pass its regularizer on. The nets do not use it either (nets/layers.py).
    with tf.compat.v1.variable_scope("first"):
        kernel = slim.model_variable(
            "weights", [2, 3], initializer=slim.xavier_initializer(), regularizer=slim.l2_regularizer(1.0)
        )
        bias = slim.model_variable("biases", [3], initializer=tf.compat.v1.zeros_initializer())
    return slim.batch_norm(tf.matmul(x, kernel) + bias, is_training=is_training, updates_collections=None, scope="norm")


@pytest.fixture
def module() -> SlimModule:
    module = SlimModule(dense)
    module.build(tf.TensorSpec([1, 2], tf.float32))
    return module


def test_variables_have_slims_names_and_are_created_once(module: SlimModule) -> None:
    names = ["first/weights", "first/biases", "norm/beta", "norm/moving_mean", "norm/moving_variance"]
    assert list(module.weights) == names
    before = {name: id(variable) for name, variable in module.weights.items()}
    module(tf.ones([4, 2]))
    tf.function(lambda x: module(x, is_training=True), autograph=False)(tf.ones([4, 2]))
    assert {name: id(variable) for name, variable in module.weights.items()} == before


def test_moving_statistics_are_not_trained_and_regularizers_are_noted(module: SlimModule) -> None:
    assert list(module.trainable) == ["first/weights", "first/biases", "norm/beta"]
    assert module.regularized == {"first/weights"}


def test_training_moves_the_statistics_and_evaluation_does_not(module: SlimModule) -> None:
    mean = module.weights["norm/moving_mean"]
    x = tf.constant([[1.0, 2.0], [3.0, 5.0]])
    module(x, is_training=False)
    assert not mean.numpy().any()
    module(x, is_training=True)
    assert mean.numpy().any()


def test_other_values_replace_the_modules_own(module: SlimModule) -> None:
    x = tf.constant([[1.0, 2.0]])
    zeros = {name: tf.zeros_like(variable) for name, variable in module.weights.items()}
    assert not module(x, variables=zeros).numpy().any()
    assert module(x).numpy().any()


def test_gradients_reach_the_variables(module: SlimModule) -> None:
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(module(tf.constant([[1.0, 2.0], [0.0, 1.0]]), is_training=False) ** 2)
    gradients = tape.gradient(loss, list(module.trainable.values()))
    assert all(np.isfinite(gradient.numpy()).all() for gradient in gradients)


def test_a_module_is_saved_and_restored_under_its_names(module: SlimModule, tmp_path: object) -> None:
    prefix = tf.train.Checkpoint(model=module).write(f"{tmp_path}/saved")
    module.weights["first/weights"].assign(tf.zeros([2, 3]))
    other = SlimModule(dense)
    other.build(tf.TensorSpec([1, 2], tf.float32))
    tf.train.Checkpoint(model=other).read(prefix).assert_consumed()
    assert other.weights["first/weights"].numpy().any()


def test_weight_decay_is_for_kernels_and_biases_not_for_batch_norm(tiny_net: None) -> None:
    from mnasnet_cli.config.loading import load_config
    from mnasnet_cli.modules.classifier import make_classifier

    model = make_classifier(load_config("quick", assignments=["model.variant=tiny", "data.image_size=32"]), 3)
    assert model.regularized == {name for name in model.trainable if "BatchNorm" not in name}


def test_a_net_with_any_name_becomes_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    # "b1-2019" is no Python identifier, as the name of a tf.Module has to be.
    from mnasnet_cli.config.loading import load_config
    from mnasnet_cli.modules.classifier import make_classifier

    monkeypatch.setitem(NETS, "tiny-2019", dataclasses.replace(TINY, name="tiny-2019", dialect=PORT_2019))
    config = load_config("quick", assignments=["model.variant=tiny-2019", "data.image_size=32"])
    model = make_classifier(config, 3)
    assert model(tf.zeros([2, 32, 32, 3]), is_training=False).shape == (2, 3)
