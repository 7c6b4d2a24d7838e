"""Parts of a batch that one device computes side by side (`training.batch_parts`)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from mnasnet_cli.system.machine import core_count


def split_batch(batch: Any, parts: int) -> list[Any]:
    """Split a batch, whose tensors are all [N, …], into `parts` batches of N / parts."""
    if parts == 1:
        return [batch]
    pieces = [tf.split(values, parts) for values in tf.nest.flatten(batch)]
    return [tf.nest.pack_sequence_as(batch, [piece[part] for piece in pieces]) for part in range(parts)]


def mean_loss(
    loss_function: Callable[[Any, tf.Tensor], tf.Tensor], batch: Any, seed: tf.Tensor, parts: int
) -> tf.Tensor:
    """Return the mean of the losses [1 + K] over the parts of a batch. Each part gets its own seed."""
    if parts == 1:
        return loss_function(batch, seed)
    fold = tf.random.experimental.stateless_fold_in
    losses = [loss_function(part, fold(seed, number)) for number, part in enumerate(split_batch(batch, parts))]
    return tf.add_n(losses) / parts


def share_cores(parts: int) -> None:
    """Give each part its share of the CPU cores, if TensorFlow has not started yet.

    Otherwise every operation uses all cores and waits for them at its end, some thousand times per step.
    """
    if parts == 1 or tf.config.list_physical_devices("GPU"):
        return
    with contextlib.suppress(RuntimeError):  # TensorFlow has started: slower, but with the same result
        tf.config.threading.set_intra_op_parallelism_threads(max(1, core_count() // parts))
