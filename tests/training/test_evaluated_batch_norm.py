"""Batch norm's statistics in an evaluation: measured over training batches, without variances close to zero."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mnasnet_cli.config.loading import load_config
from mnasnet_cli.modules.slim_module import SlimModule
from mnasnet_cli.nets.slim_compat import slim
from mnasnet_cli.training.evaluated_batch_norm import EvaluatedBatchNorm


def forward_statistics(kernel: np.ndarray, batches: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    outputs = [batch @ kernel for batch in batches]
    means = np.mean([values.mean((0, 1, 2)) for values in outputs], axis=0)
    return means, np.mean([values.var((0, 1, 2), ddof=1) for values in outputs], axis=0)


def make_model(scope: str = "") -> SlimModule:
    """Return a layer with batch norm in it: [N, 2, 2, 3] to [N, 2, 2, 2]."""

    def net(images: tf.Tensor, is_training: bool, batch_norm_decay: Any = 0.9, frozen_until: Any = None) -> tf.Tensor:
        with slim.arg_scope(
            [slim.batch_norm], is_training=is_training, decay=batch_norm_decay, updates_collections=None
        ):
            kernel = tf.compat.v1.get_variable("weights", [3, 2], initializer=tf.compat.v1.ones_initializer())
            return slim.batch_norm(tf.matmul(images, kernel), scale=True, fused=True, scope=f"{scope}BatchNorm")

    model = SlimModule(net)
    model.build(tf.TensorSpec([4, 2, 2, 3], tf.float32), is_training=False)
    return model


def make_task(*assignments: str) -> Any:
    return SimpleNamespace(
        config=load_config("quick", assignments=assignments),
        forward=lambda net, batch, weights, **arguments: net(batch, variables=weights, **arguments),
    )


@pytest.mark.parametrize("averaged", [False, True])
def test_precise_batch_norm_is_the_mean_over_batches_under_the_evaluated_weights(averaged: bool) -> None:
    model = make_model()
    rng = np.random.default_rng(0)
    kernels = rng.normal(size=(2, 3, 2)).astype(np.float32)
    model.weights["weights"].assign(kernels[0])
    averages = {name: tf.Variable(weight) for name, weight in model.weights.items()} if averaged else None
    if averages:
        averages["weights"].assign(kernels[1])
    batches = [rng.normal(size=(4, 2, 2, 3)).astype(np.float32) for _ in range(4)]
    task = make_task("finetune.recalibrate_batches=3", "model.batch_norm_floor=0")
    recalibrate = EvaluatedBatchNorm(task, model, averages)
    for _ in range(2):  # the result does not depend on the statistics before
        recalibrate(lambda: tf.data.Dataset.from_tensor_slices(np.stack(batches)))
        mean, variance = forward_statistics(kernels[int(averaged)], batches[:3])
        found = averages or model.weights
        assert found["BatchNorm/moving_mean"].numpy() == pytest.approx(mean, abs=1e-6)
        assert found["BatchNorm/moving_variance"].numpy() == pytest.approx(variance, rel=1e-5)
    if averaged:  # training continues with its own statistics
        assert (model.weights["BatchNorm/moving_mean"].numpy() == 0).all()
        assert (model.weights["BatchNorm/moving_variance"].numpy() == 1).all()


@pytest.mark.parametrize("averaged", [False, True])
def test_a_silent_channel_gets_a_fraction_of_the_median_variance(averaged: bool) -> None:
    model = make_model()
    averages = {name: tf.Variable(weight) for name, weight in model.weights.items()} if averaged else None
    evaluated = averages or model.weights
    evaluated["BatchNorm/moving_variance"].assign([1e-6, 6.0])
    EvaluatedBatchNorm(make_task("model.batch_norm_floor=0.1"), model, averages)(no_batches)
    assert evaluated["BatchNorm/moving_variance"].numpy() == pytest.approx([0.3, 6.0], rel=1e-5)
    if averaged:
        assert (model.weights["BatchNorm/moving_variance"].numpy() == 1).all()


def test_frozen_batch_norm_keeps_its_variances() -> None:
    model = make_model("Mnasnet/Conv/")
    model.weights["Mnasnet/Conv/BatchNorm/moving_variance"].assign([1e-6, 6.0])
    correct = EvaluatedBatchNorm(make_task("model.batch_norm_floor=0.1"), model, None)
    correct(no_batches, frozen_until="layer_1")
    assert model.weights["Mnasnet/Conv/BatchNorm/moving_variance"].numpy()[0] == pytest.approx(1e-6)
    correct(no_batches)
    assert model.weights["Mnasnet/Conv/BatchNorm/moving_variance"].numpy()[0] == pytest.approx(0.3, rel=1e-5)


def no_batches() -> Any:
    raise AssertionError("nothing is measured")
