"""Measures the toolkit's compiled training step without records, training loop, evaluation and EMA."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import images_per_second

MOMENTUM = 0.9
WARM_UP_CALLS = 3


def peer_settings(arguments: argparse.Namespace, weight_decay: float) -> dict[str, Any]:
    """Return the changes to a recipe that make it equal to the peer: plain SGD with momentum."""
    return {
        "model.variant": arguments.variant,
        "data.image_size": arguments.image_size,
        "optimizer.name": "sgd",
        "optimizer.momentum": MOMENTUM,
        "optimizer.weight_decay": weight_decay,
        "optimizer.gradient_clip": 0.0,
        "training.batch_size": arguments.batch_size,
        "training.ema_decay": 0.0,
    }


def time_step(
    task: Callable[[Any, Path], Any],
    model: Any,
    config: Any,
    batches: Any,
    *,
    steps_per_call: int,
    learning_rate: float,
    seconds: float,
) -> dict[str, Any]:
    """Measure the training step of a task on a model.

    Args:
      task: the class of the task, for its loss. No records are read.
      batches: an endless tf.data.Dataset.
      steps_per_call: steps in one call of the compiled function.
      learning_rate: constant over all steps.
      seconds: minimum duration of the measurement.
    """
    import tensorflow as tf

    from mnasnet_cli.training.finetuning import FinetunePlan
    from mnasnet_cli.training.optimization.optimizers import Optimizer
    from mnasnet_cli.training.steps import TrainSteps

    optimizer = Optimizer(config.optimizer, model.trainable, model.regularized)
    plan = FinetunePlan(config, model.trainable, steps_per_epoch=1)
    steps = TrainSteps(task(config, Path()), model, optimizer, average=None, plan=plan)
    iterator, rates, decays = iter(batches), tf.fill([steps_per_call], learning_rate), tf.zeros([steps_per_call])

    def call() -> None:
        outcome = steps(iterator, tf.constant(0, tf.int64), rates, decays, tf.zeros([1]))
        if int(outcome.done) != steps_per_call:
            raise SystemExit(f"the loss became {float(outcome.last_loss)}")

    images = steps_per_call * config.training.batch_size
    return {
        "images_per_second": images_per_second(call, images, WARM_UP_CALLS, seconds),
        "versions": f"tensorflow {tf.__version__}",
    }
