"""Turns TensorFlow's errors into one line each that says what to do."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import tensorflow as tf

from mnasnet_cli.distributed.cluster import PeerLost
from mnasnet_cli.distributed.strategy import is_lost_peer
from mnasnet_cli.errors import DataError, EnvironmentProblem, MnasnetError, first_line
from mnasnet_cli.tasks.base import Task


@contextlib.contextmanager
def clear_errors(task: Task) -> Iterator[None]:
    """Turn TensorFlow's errors in the block into a `MnasnetError`. The message names a damaged shard of the task."""
    try:
        yield
    except tf.errors.OpError as error:
        raise _explain(error, task) from error


def _explain(error: tf.errors.OpError, task: Task) -> MnasnetError:
    """Return an error whose one line says what to do."""
    text = first_line(error)
    if is_lost_peer(error):
        return PeerLost("another process of the run is gone")
    if "No space left on device" in (error.message or ""):
        return EnvironmentProblem(f"the disk is full ({text}); free some space, then start the command again to resume")
    if damaged := re.search(r"DataError: (.*)", error.message or ""):  # raised while records were read
        return DataError(damaged[1])
    if isinstance(error, tf.errors.DataLossError | tf.errors.OutOfRangeError):
        task.verify_records()
        return DataError(f"the records ended early or changed during reading ({text}); start the command again")
    if isinstance(error, tf.errors.InvalidArgumentError):
        task.verify_records(images=True)
    if isinstance(error, tf.errors.ResourceExhaustedError):
        return EnvironmentProblem(f"out of memory ({text}); lower --batch-size or raise training.accumulate_steps")
    if isinstance(error, tf.errors.InvalidArgumentError | tf.errors.NotFoundError):
        return DataError(f"reading the records failed: {text}")
    return EnvironmentProblem(f"TensorFlow stopped: {text}")
