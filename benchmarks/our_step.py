"""The toolkit's compiled training step, timed by itself: without records, loop, evaluation and moving average."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import images_per_second

MOMENTUM = 0.9
WARM_UP_CALLS = 3


def settings_of(arguments: argparse.Namespace, weight_decay: float) -> dict[str, Any]:
    """Return what a recipe is changed to: SGD with momentum and nothing beside it, as the peer has it."""
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
    calls_of: int,
    rate: float,
    seconds: float,
) -> dict[str, Any]:
    """Measure the step of a task's class on a model.

    Args:
      task: the class; it is needed for its loss only, and no records are read.
      batches: a tf.data.Dataset that has no end.
      calls_of: steps in a call; the training loop asks for calls of about two seconds.
      rate: the learning rate.
      seconds: least length of the measurement.
    """
    import tensorflow as tf

    from mnasnet_cli.training.finetuning import FinetunePlan
    from mnasnet_cli.training.optimizers import Optimizer
    from mnasnet_cli.training.steps import TrainSteps

    optimizer = Optimizer(config.optimizer, model.trainable, model.regularized)
    plan = FinetunePlan(config, model.trainable, steps_per_epoch=1)
    steps = TrainSteps(task(config, Path()), model, optimizer, average=None, plan=plan)
    iterator, rates, decays = iter(batches), tf.fill([calls_of], rate), tf.zeros([calls_of])

    def call() -> None:
        outcome = steps(iterator, tf.constant(0, tf.int64), rates, decays, tf.zeros([1]))
        if int(outcome.done) != calls_of:
            raise SystemExit(f"the loss became {float(outcome.last_loss)}")

    images = calls_of * config.training.batch_size
    return {
        "images_per_second": images_per_second(call, images, WARM_UP_CALLS, seconds),
        "versions": f"tensorflow {tf.__version__}",
    }
