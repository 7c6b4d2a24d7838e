"""Update rules against the same in NumPy, and what they have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mnasnet_cli.config.schema import OptimizerConfig, ScheduleConfig
from mnasnet_cli.training.optimization.optimizers import Optimizer, learning_rate_factor

RATE = 0.1
GRADIENTS = [np.array([1.0, -2.0]), np.array([0.5, 0.5]), np.array([-1.0, 3.0])]


def run(options: OptimizerConfig, regularized: bool = False) -> np.ndarray:
    weights = {"w": tf.Variable([1.0, 2.0])}
    optimizer = Optimizer(options, weights, frozenset(["w"] if regularized else []))
    for step, gradient in enumerate(GRADIENTS):
        gradients = {"w": tf.constant(gradient, tf.float32)}
        optimizer.apply(weights, gradients, tf.constant(RATE), tf.constant(step, tf.int64))
    return weights["w"].numpy()


def sgd(nesterov: bool, decay: float = 0.0) -> np.ndarray:
    w, m = np.array([1.0, 2.0]), np.zeros(2)
    for gradient in GRADIENTS:
        g = gradient + decay * w
        m = 0.9 * m + g
        w = w - RATE * (g + 0.9 * m if nesterov else m)
    return w


def rmsprop() -> np.ndarray:
    w, m, square = np.array([1.0, 2.0]), np.zeros(2), np.ones(2)
    for g in GRADIENTS:
        square = 0.8 * square + 0.2 * g**2
        m = 0.9 * m + RATE * g / np.sqrt(square + 1e-3)
        w = w - m
    return w


def adamw(decay: float) -> np.ndarray:
    w, m, v = np.array([1.0, 2.0]), np.zeros(2), np.zeros(2)
    for t, g in enumerate(GRADIENTS, 1):
        w = w - RATE * decay * w
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g**2
        w = w - RATE * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.99**t)) + 1e-8)
    return w


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd(nesterov: bool) -> None:
    assert run(OptimizerConfig(name="sgd", nesterov=nesterov)) == pytest.approx(sgd(nesterov), rel=1e-5)


def test_rmsprop_as_in_tensorflow_1() -> None:
    options = OptimizerConfig(name="rmsprop", rmsprop_decay=0.8, momentum=0.9, epsilon=1e-3)
    assert run(options) == pytest.approx(rmsprop(), rel=1e-5)


def test_adamw_decays_apart_from_the_gradient() -> None:
    options = OptimizerConfig(name="adamw", betas=(0.9, 0.99), epsilon=1e-8, weight_decay=0.3)
    assert run(options, regularized=True) == pytest.approx(adamw(0.3), rel=1e-4)
    assert run(options, regularized=False) == pytest.approx(adamw(0.0), rel=1e-4)


def test_sgd_decays_through_the_gradient() -> None:
    options = OptimizerConfig(name="sgd", weight_decay=0.3)
    assert run(options, regularized=True) == pytest.approx(sgd(False, decay=0.3), rel=1e-5)
    assert run(options, regularized=False) == pytest.approx(sgd(False), rel=1e-5)


def test_muon_takes_1x1_convolutions_and_leaves_the_rest_to_adam() -> None:
    shapes = {"a/weights": [1, 1, 4, 8], "dw/depthwise_weights": [3, 3, 4, 1], "Conv2d_1c_1x1/weights": [1, 1, 8, 3]}
    weights = {name: tf.Variable(tf.ones(shape)) for name, shape in shapes.items()}
    optimizer = Optimizer(OptimizerConfig(name="muon"), weights, frozenset())
    assert list(optimizer.slots["momentum"]) == ["a/weights"]
    assert list(optimizer.slots["square"]) == ["dw/depthwise_weights", "Conv2d_1c_1x1/weights"]


@pytest.mark.parametrize("name", ["rmsprop", "sgd", "adamw", "muon"])
def test_every_optimizer_lowers_a_loss(name: Any) -> None:
    rng = np.random.default_rng(0)
    target = tf.constant(rng.normal(size=(1, 1, 6, 4)), tf.float32)
    weights = {"conv/weights": tf.Variable(tf.zeros([1, 1, 6, 4])), "conv/biases": tf.Variable(tf.zeros([4]))}
    optimizer = Optimizer(OptimizerConfig(name=name, epsilon=1e-3), weights, frozenset(["conv/weights"]))
    losses = []
    for step in range(60):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((weights["conv/weights"] - target) ** 2) + tf.reduce_mean(
                (weights["conv/biases"] - 1) ** 2
            )
        gradients = tape.gradient(loss, weights)
        optimizer.apply(weights, gradients, tf.constant(0.02), tf.constant(step, tf.int64))
        losses.append(float(loss))
    assert losses[-1] < 0.5 * losses[0]


def test_warm_up_rises_linearly_to_the_peak() -> None:
    schedule = ScheduleConfig(name="constant", warmup_epochs=2.0)
    # 2 epochs of 4 steps: 1/8, 2/8, … 8/8, then the peak.
    found = [learning_rate_factor(schedule, step, 4, 40) for step in range(10)]
    assert found == pytest.approx([1 / 8, 2 / 8, 3 / 8, 4 / 8, 5 / 8, 6 / 8, 7 / 8, 1.0, 1.0, 1.0])


def test_no_warm_up_begins_at_the_peak() -> None:
    assert learning_rate_factor(ScheduleConfig(name="constant", warmup_epochs=0.0), 0, 4, 40) == 1.0


def test_exponential_falls_in_stairs_counted_from_the_first_step() -> None:
    schedule = ScheduleConfig(name="exponential", warmup_epochs=1.0, decay_epochs=2.4, decay_rate=0.97)
    # 10 steps an epoch, so one stair is 24 steps: 0-23, 24-47, 48-71, …
    table = {9: 1.0, 23: 1.0, 24: 0.97, 47: 0.97, 48: 0.9409, 72: 0.912673}
    assert {step: learning_rate_factor(schedule, step, 10, 1000) for step in table} == pytest.approx(table)


def test_cosine_goes_from_peak_to_the_final_fraction() -> None:
    schedule = ScheduleConfig(name="cosine", warmup_epochs=0.0, final_fraction=0.1)
    # 0.1 + 0.9 · (1 + cos(π·t/8)) / 2 at t = 0, 2, 4, 6, 8: cos = 1, 0.70711, 0, -0.70711, -1.
    table = {0: 1.0, 2: 0.868198, 4: 0.55, 6: 0.231802, 8: 0.1}
    assert {step: learning_rate_factor(schedule, step, 2, 8) for step in table} == pytest.approx(table, abs=1e-6)


def test_cosine_holds_the_peak_after_warm_up() -> None:
    schedule = ScheduleConfig(name="cosine", warmup_epochs=1.0, hold_epochs=2.0)
    # 2 steps an epoch: warm-up 0-1, hold 2-5, half of the way down at (6 + 14) / 2 = 10.
    table = {0: 0.5, 1: 1.0, 3: 1.0, 6: 1.0, 10: 0.5, 14: 0.0}
    assert {step: learning_rate_factor(schedule, step, 2, 14) for step in table} == pytest.approx(table, abs=1e-9)


def test_cosine_stays_in_range_where_nothing_is_left_to_decay() -> None:
    schedule = ScheduleConfig(name="cosine", warmup_epochs=2.0)
    assert [learning_rate_factor(schedule, step, 3, 6) for step in (4, 5, 6)] == pytest.approx([5 / 6, 1.0, 1.0])
