"""The error for a loss or weights that are no longer finite."""

from __future__ import annotations

from pathlib import Path

from mnasnet_cli.errors import DataError
from mnasnet_cli.tasks.base import Task


class DivergenceError(DataError):
    """The loss or the weights became infinite or NaN. The run directory is kept."""


def divergence_error(task: Task, step: int, what: str, *, kept_step: int | None, run_dir: Path) -> DivergenceError:
    """Return the error for `what` at a step (0-based). It names the images, the checkpoint to use and remedies."""
    epoch, position = divmod(step, task.steps_per_epoch)
    batch_size = task.config.training.batch_size
    names = task.train_names(epoch, position * batch_size, batch_size)
    images = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    checkpoint = "there is no earlier checkpoint"
    if kept_step is not None:
        checkpoint = (
            f"the last checkpoint before it is of step {kept_step:,} (--run-dir NEW --init {run_dir} starts from it "
            "with other settings)"
        )
    return DivergenceError(
        f"{what} at step {step:,} (epoch {epoch + 1}), on the images {images}; {checkpoint}. A lower learning rate "
        "(--set optimizer.learning_rate_per_256=…) or gradient clipping (--set optimizer.gradient_clip=1.0) often "
        "helps"
    )
