"""Parts of a batch that one device runs side by side."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from mnasnet_cli.system.machine import core_count


def split_batch(batch: Any, parts: int) -> list[Any]:
    """A batch, whose tensors all are [N, …], as `parts` batches of N / parts."""
    if parts == 1:
        return [batch]
    pieces = [tf.split(values, parts) for values in tf.nest.flatten(batch)]
    return [tf.nest.pack_sequence_as(batch, [piece[part] for piece in pieces]) for part in range(parts)]


def mean_loss(loss_of: Callable[[Any, tf.Tensor], tf.Tensor], batch: Any, seed: tf.Tensor, parts: int) -> tf.Tensor:
    """The loss [] of a batch as the mean over its parts, each of which has a seed of its own."""
    if parts == 1:
        return loss_of(batch, seed)
    fold = tf.random.experimental.stateless_fold_in
    losses = [loss_of(part, fold(seed, number)) for number, part in enumerate(split_batch(batch, parts))]
    return tf.add_n(losses) / parts


def share_cores(parts: int) -> None:
    """Lets the parts run at once: on a CPU each gets its share of the cores, where TensorFlow hasn't started yet.

    Otherwise every operation takes all cores, and they wait for each other at its end, some thousand times a step.
    """
    if parts == 1 or tf.config.list_physical_devices("GPU"):
        return
    with contextlib.suppress(RuntimeError):  # it has started: the parts take longer, but come to the same
        tf.config.threading.set_intra_op_parallelism_threads(max(1, core_count() // parts))
