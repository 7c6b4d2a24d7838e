"""Batch norm's statistics, measured over training batches."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mnasnet_cli.config.loading import load_config
from mnasnet_cli.config.schema import Config
from mnasnet_cli.modules.slim_module import SlimModule
from mnasnet_cli.nets.slim_compat import slim
from mnasnet_cli.training.precise_batch_norm import PreciseBatchNorm


def forward_statistics(kernel: np.ndarray, batches: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    outputs = [batch @ kernel for batch in batches]
    means = np.mean([values.mean((0, 1, 2)) for values in outputs], axis=0)
    return means, np.mean([values.var((0, 1, 2), ddof=1) for values in outputs], axis=0)


@pytest.mark.parametrize("averaged", [False, True])
def test_precise_batch_norm_is_the_mean_over_batches_under_the_evaluated_weights(averaged: bool) -> None:
    def net(images: tf.Tensor, is_training: bool, batch_norm_decay: Any = 0.9, frozen_until: Any = None) -> tf.Tensor:
        with slim.arg_scope(
            [slim.batch_norm], is_training=is_training, decay=batch_norm_decay, updates_collections=None
        ):
            kernel = tf.compat.v1.get_variable("weights", [3, 2], initializer=tf.compat.v1.ones_initializer())
            return slim.batch_norm(tf.matmul(images, kernel), scale=True, fused=True, scope="BatchNorm")

    model = SlimModule(net)
    model.build(tf.TensorSpec([4, 2, 2, 3], tf.float32), is_training=False)
    rng = np.random.default_rng(0)
    kernels = rng.normal(size=(2, 3, 2)).astype(np.float32)
    model.weights["weights"].assign(kernels[0])
    averages = {name: tf.Variable(weight) for name, weight in model.weights.items()} if averaged else None
    if averages:
        averages["weights"].assign(kernels[1])
    batches = [rng.normal(size=(4, 2, 2, 3)).astype(np.float32) for _ in range(4)]
    task = SimpleNamespace(
        config=make_config_of_batches(3),
        forward=lambda net, batch, weights, **arguments: net(batch, variables=weights, **arguments),
    )
    recalibrate = PreciseBatchNorm(task, model, averages)  # type: ignore[arg-type]
    for _ in range(2):  # the result does not depend on the statistics before
        recalibrate(tf.data.Dataset.from_tensor_slices(np.stack(batches)))
        mean, variance = forward_statistics(kernels[int(averaged)], batches[:3])
        found = averages or model.weights
        assert found["BatchNorm/moving_mean"].numpy() == pytest.approx(mean, abs=1e-6)
        assert found["BatchNorm/moving_variance"].numpy() == pytest.approx(variance, rel=1e-5)
    if averaged:  # training continues with its own statistics
        assert (model.weights["BatchNorm/moving_mean"].numpy() == 0).all()
        assert (model.weights["BatchNorm/moving_variance"].numpy() == 1).all()


def make_config_of_batches(count: int) -> Config:
    return load_config("quick", assignments=[f"finetune.recalibrate_batches={count}"])
