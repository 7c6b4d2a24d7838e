"""The moving average against its formula."""

from __future__ import annotations

import pytest
import tensorflow as tf

from mnasnet_cli.training.optimization.ema import MovingAverage, decay_at, ramp_up


def test_starts_at_the_weights_and_follows_the_formula() -> None:
    weights = {"w": tf.Variable([1.0, 2.0]), "moving_mean": tf.Variable([0.0], trainable=False)}
    average = MovingAverage(weights)
    assert average.weights["w"].numpy() == pytest.approx([1.0, 2.0])
    weights["w"].assign([3.0, 2.0])
    weights["moving_mean"].assign([10.0])
    average.update(weights, tf.constant(0.75))
    # 0.75 · 1 + 0.25 · 3 = 1.5; 0.75 · 0 + 0.25 · 10 = 2.5
    assert average.weights["w"].numpy() == pytest.approx([1.5, 2.0])
    assert average.weights["moving_mean"].numpy() == pytest.approx([2.5])
    average.update(weights, tf.constant(0.5))
    assert average.weights["w"].numpy() == pytest.approx([2.25, 2.0])
    assert weights["w"].numpy() == pytest.approx([3.0, 2.0])


def test_averages_are_not_trained() -> None:
    assert MovingAverage({"w": tf.Variable(1.0)}).trainable_variables == ()


def test_the_decay_ramps_up() -> None:
    # (1 + step) / (10 + step) until that passes the limit.
    assert [decay_at(0.9, step) for step in (0, 8, 79, 80, 81, 10**6)] == pytest.approx(
        [1 / 10, 9 / 18, 80 / 89, 0.9, 0.9, 0.9]
    )


def test_the_ramp_in_a_graph_is_the_same() -> None:
    for step in (0, 8, 79, 80, 10**6):
        assert float(ramp_up(0.9, tf.constant(step, tf.int64))) == pytest.approx(decay_at(0.9, step))
