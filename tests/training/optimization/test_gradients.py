"""The parts of gradients that need no training; test_steps.py checks their values."""

from __future__ import annotations

import tensorflow as tf

from mnasnet_cli.training.optimization.gradients import to_bfloat16


def test_batch_norm_stays_in_float32() -> None:
    kernel, gamma = tf.Variable([1.0]), tf.Variable([1.0])
    assert to_bfloat16("Conv/weights", kernel).dtype == tf.bfloat16
    assert to_bfloat16("Conv/BatchNorm/gamma", gamma) is gamma
    assert to_bfloat16("norm/moving_mean", gamma) is gamma
