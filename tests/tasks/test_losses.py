"""Losses against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import tensorflow as tf

from mnasnet_cli.tasks.losses import smoothed_cross_entropy

# Probabilities 1/8, 1/8, 3/4.
LOGITS = tf.constant([[0.0, 0.0, math.log(6.0)]])


def test_without_smoothing_it_is_the_log_probability() -> None:
    for label, probability in enumerate((1 / 8, 1 / 8, 3 / 4)):
        loss = smoothed_cross_entropy(LOGITS, tf.constant([label]), 0.0)
        assert loss.numpy() == pytest.approx([-math.log(probability)])


def test_smoothing_mixes_in_the_mean_over_the_classes() -> None:
    # 0.9 · -ln(3/4) + 0.1 · (-ln(1/8) - ln(1/8) - ln(3/4)) / 3
    expected = 0.9 * -math.log(3 / 4) + 0.1 * (2 * math.log(8) - math.log(3 / 4)) / 3
    assert smoothed_cross_entropy(LOGITS, tf.constant([2]), 0.1).numpy() == pytest.approx([expected])


def test_equal_logits_cost_the_log_of_the_classes_whatever_the_smoothing() -> None:
    for smoothing in (0.0, 0.1, 1.0):
        loss = smoothed_cross_entropy(tf.zeros([2, 10]), tf.constant([0, 7]), smoothing)
        assert loss.numpy() == pytest.approx([math.log(10)] * 2)
