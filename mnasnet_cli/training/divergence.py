"""The error for a loss or for weights that are no longer finite."""

from __future__ import annotations

from pathlib import Path

from mnasnet_cli.errors import DataError
from mnasnet_cli.tasks.base import Task


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
