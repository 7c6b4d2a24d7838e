"""The compiled steps, on a linear model with known gradients."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from mnasnet_cli.config.loading import load_config
from mnasnet_cli.config.schema import Config
from mnasnet_cli.modules.slim_module import SlimModule
from mnasnet_cli.tasks.base import Net, Weights
from mnasnet_cli.training.finetuning import FinetunePlan
from mnasnet_cli.training.optimization.ema import MovingAverage
from mnasnet_cli.training.optimization.optimizers import Optimizer
from mnasnet_cli.training.steps import StepsResult, TrainSteps

STEPS, BATCH = 6, 8


class Batch(NamedTuple):
    x: tf.Tensor
    y: tf.Tensor


class LinearTask:
    """loss = mean (x·w - y)². Without batch norm, a batch in parts has the same gradient as the whole batch."""

    def __init__(self, config: Config):
        self.config = config

    loss_terms: tuple[str, ...] = ()

    def train_loss(self, net: Net, batch: Batch, seed: tf.Tensor, weights: Weights) -> tf.Tensor:
        return tf.reshape(tf.reduce_mean((net(batch.x, variables=weights) - batch.y) ** 2), [1])


def linear(x: tf.Tensor, frozen_until: str | None = None) -> tf.Tensor:
    kernel = tf.compat.v1.get_variable("weights", [3, 1], initializer=tf.compat.v1.ones_initializer())
    return tf.cast(tf.matmul(tf.cast(x, kernel.dtype), kernel), tf.float32)


def tracking(x: tf.Tensor, frozen_until: str | None = None, batch_norm_decay: tf.Tensor | None = None) -> tf.Tensor:
    """A linear net with a moving mean of its inputs, as batch norm has one."""
    zeros = tf.compat.v1.zeros_initializer()
    mean = tf.compat.v1.get_variable("moving_mean", [3], initializer=zeros, trainable=False)
    if batch_norm_decay is not None:
        mean.assign(batch_norm_decay * mean + (1.0 - batch_norm_decay) * tf.reduce_mean(x, 0))
    return linear(x)


def examples() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(STEPS * BATCH, 3)).astype(np.float32)
    return x, (x @ np.array([[0.5], [-1.0], [2.0]])).astype(np.float32)


def run(
    *assignments: str, calls: tuple[int, ...] = (STEPS,), poison: int | None = None, net: Any = linear
) -> SimpleNamespace:
    """Takes the steps in calls of these lengths; `poison` is an example that becomes infinite."""
    settings = ["optimizer.name=sgd", f"training.batch_size={BATCH}", "training.ema_decay=0.5", *assignments]
    config = load_config(assignments=settings)
    model = SlimModule(net)
    model.build(tf.TensorSpec([1, 3], tf.float32))
    optimizer = Optimizer(config.optimizer, model.trainable, model.regularized)
    average = MovingAverage(model.weights)
    plan = FinetunePlan(config, model.trainable, STEPS)
    steps = TrainSteps(LinearTask(config), model, optimizer, average, plan)  # type: ignore[arg-type]
    x, y = examples()
    if poison is not None:
        x[poison] = np.inf
    part = BATCH // config.training.accumulate_steps
    iterator = iter(tf.data.Dataset.from_tensor_slices(Batch(x, y)).batch(part, drop_remainder=True))
    done, losses = 0, []
    for count in calls:
        rates, decays = tf.fill([count], 0.05), tf.fill([count], 0.5)
        result: StepsResult = steps(iterator, tf.constant(done, tf.int64), rates, decays, tf.zeros([1]))
        losses += result.losses.numpy()[: int(result.done), 0].tolist()
        done += int(result.done)
    return SimpleNamespace(
        weights=model.weights["weights"].numpy(),
        average=average.weights["weights"].numpy(),
        losses=losses,
        done=done,
        result=result,
        moving_mean=model.weights["moving_mean"].numpy() if "moving_mean" in model.weights else None,
    )


def by_hand(clip: float = 0.0) -> SimpleNamespace:
    x, y = (values.astype(np.float64) for values in examples())
    w, momentum, losses = np.ones((3, 1)), np.zeros((3, 1)), []
    average = w
    for step in range(STEPS):
        rows = slice(step * BATCH, (step + 1) * BATCH)
        error = x[rows] @ w - y[rows]
        losses.append((error**2).mean())
        gradient = 2 * x[rows].T @ error / BATCH
        if clip:
            gradient *= min(1.0, clip / np.sqrt((gradient**2).sum()))
        momentum = 0.9 * momentum + gradient
        w = w - 0.05 * momentum
        average = 0.5 * average + 0.5 * w
    return SimpleNamespace(weights=w, average=average, losses=losses)


def test_steps_follow_the_formulas() -> None:
    found, expected = run(), by_hand()
    assert found.losses == pytest.approx(expected.losses, rel=1e-5)
    assert found.weights == pytest.approx(expected.weights, rel=1e-5)
    assert found.average == pytest.approx(expected.average, rel=1e-5)


@pytest.mark.parametrize("parts", [2, 8])
def test_accumulated_gradients_equal_those_of_the_whole_batch(parts: int) -> None:
    found, expected = run(f"training.accumulate_steps={parts}"), by_hand()
    assert found.losses == pytest.approx(expected.losses, rel=1e-5)
    assert found.weights == pytest.approx(expected.weights, rel=1e-5)


@pytest.mark.parametrize("accumulated", [1, 2])
def test_batch_parts_have_the_gradient_of_the_whole_batch(accumulated: int) -> None:
    found = run("training.batch_parts=2", f"training.accumulate_steps={accumulated}")
    expected = by_hand()
    assert found.losses == pytest.approx(expected.losses, rel=1e-5)
    assert found.weights == pytest.approx(expected.weights, rel=1e-5)


@pytest.mark.parametrize("parts", [1, 2])
def test_clipping_comes_after_accumulation(parts: int) -> None:
    settings = ["optimizer.gradient_clip=1.0", f"training.accumulate_steps={parts}"]
    assert run(*settings).weights == pytest.approx(by_hand(clip=1.0).weights, rel=1e-5)


def test_the_result_does_not_depend_on_the_length_of_calls() -> None:
    whole = run()
    for calls in ((1,) * STEPS, (2, 1, 3)):
        found = run(calls=calls)
        assert found.losses == whole.losses
        assert (found.weights == whole.weights).all()
        assert (found.average == whole.average).all()


def test_a_call_ends_at_the_first_loss_that_is_not_finite() -> None:
    found = run(poison=3 * BATCH + 1)
    assert found.done == 4
    assert not np.isfinite(float(found.result.last_loss))
    assert np.isfinite(found.losses[:3]).all()


def test_bfloat16_computes_on_copies_of_float32_weights() -> None:
    found = run("training.precision=bfloat16")
    assert found.weights.dtype == np.float32
    assert found.weights == pytest.approx(by_hand().weights, rel=0.05)
    assert (found.weights != run().weights).any()


@pytest.mark.parametrize("calls", [(STEPS,), (1, 2, 3)])
def test_the_decay_of_batch_norm_ramps_up_with_the_step(calls: tuple[int, ...]) -> None:
    settings = ("model.batch_norm_ramp_up=true", "model.batch_norm_decay=0.3")
    x, _ = examples()
    mean = np.zeros(3)
    for step, batch in enumerate(x.reshape(STEPS, BATCH, 3)):
        decay = min(0.3, (1 + step) / (10 + step))
        mean = decay * mean + (1 - decay) * batch.mean(0)
    found = run(*settings, calls=calls, net=tracking)
    assert found.moving_mean == pytest.approx(mean, abs=1e-6)
    assert run(calls=calls, net=tracking).moving_mean == pytest.approx(np.zeros(3))  # the net's own decay
