"""TensorFlow's errors as one line each that says what to do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from mnasnet_cli.errors import DataError, EnvironmentProblem, MnasnetError, first_line
from mnasnet_cli.tasks.task import Task
from mnasnet_cli.training.cluster import PeerLost
from mnasnet_cli.training.distribution import is_lost_peer


class NotFinite(DataError):
    """A loss or the weights became infinite or NaN; what the run did until then is kept."""


def not_finite(task: Task, step: int, what: str, *, kept_step: int | None, run_dir: Path) -> NotFinite:
    """The error for `what` happened at a step: on which images, what is kept of the run, and what helps."""
    epoch, position = divmod(step, task.steps_per_epoch)
    batch_size = task.config.training.batch_size
    names = task.train_names(epoch, position * batch_size, batch_size)
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    before = "no checkpoint was saved before it"
    if kept_step is not None:
        before = (
            f"the checkpoint of step {kept_step:,} is from before it (--run-dir NEW --init {run_dir} goes on from "
            "there with other settings)"
        )
    return NotFinite(
        f"{what} at step {step:,} (epoch {epoch + 1}), on the images {shown}; {before}. A lower learning rate "
        "(--set optimizer.learning_rate_per_256=…) or gradient clipping (--set optimizer.gradient_clip=1.0) often "
        "helps"
    )


@contextlib.contextmanager
def clear_errors(task: Task) -> Iterator[None]:
    """Turns what TensorFlow raises in the block into a `MnasnetError`; a damaged shard of the task's is named."""
    try:
        yield
    except tf.errors.OpError as error:
        raise _explain(error, task) from error


def _explain(error: tf.errors.OpError, task: Task) -> MnasnetError:
    """A TensorFlow error as one line that says what to do."""
    text = first_line(error)
    if is_lost_peer(error):
        return PeerLost("another process of the run is gone")
    if "No space left on device" in (error.message or ""):
        return EnvironmentProblem(f"the disk is full ({text}); make room, then start the command again to go on")
    if isinstance(error, tf.errors.DataLossError | tf.errors.OutOfRangeError):
        task.verify_records()
        return DataError(f"the records ended early or changed while they were read ({text}); start the command again")
    if isinstance(error, tf.errors.InvalidArgumentError):
        task.verify_records(images=True)
    if isinstance(error, tf.errors.ResourceExhaustedError):
        return EnvironmentProblem(f"out of memory ({text}); lower --batch-size or raise training.accumulate_steps")
    if isinstance(error, tf.errors.InvalidArgumentError | tf.errors.NotFoundError):
        return DataError(f"reading the records failed: {text}")
    return EnvironmentProblem(f"TensorFlow stopped: {text}")
