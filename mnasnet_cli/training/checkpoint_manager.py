"""The checkpoints of a training run: saved atomically, and restored when the run resumes."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from mnasnet_cli.checkpoints.files import BEST_FOLDER, CHECKPOINT_FOLDER, list_checkpoints, remove_unfinished
from mnasnet_cli.checkpoints.folder import CheckpointFolder
from mnasnet_cli.checkpoints.reader import UNREADABLE, read_info
from mnasnet_cli.checkpoints.writer import SavedState
from mnasnet_cli.config.net_table import net_label
from mnasnet_cli.console import warn
from mnasnet_cli.distributed.strategy import Processes, is_lost_peer
from mnasnet_cli.errors import CheckpointError, EnvironmentProblem, first_line
from mnasnet_cli.modules.slim_module import SlimModule
from mnasnet_cli.system.files import temporary_folder
from mnasnet_cli.training.optimization.ema import MovingAverage
from mnasnet_cli.training.optimization.optimizers import Optimizer


class CheckpointManager:
    """Keeps the newest checkpoints of a run, and the best one by the validation metric.

    With several processes all of them must call `save` and `save_best`; only the chief's files are kept.
    """

    def __init__(
        self,
        run_dir: Path,
        model: SlimModule,
        optimizer: Optimizer,
        average: MovingAverage | None,
        info: Mapping[str, Any],
        *,
        keep: int,
        chief: bool,
    ):
        self._state = SavedState(model, info, optimizer=optimizer, average=average)
        self._weights = [*model.weights.values(), *(average.weights.values() if average else ())]
        self._info = info
        self.kept_step: int | None = None
        """The step of the newest checkpoint that this process saved or restored."""
        self._saved: set[tuple[Path, int]] = set()
        self._temporary = contextlib.ExitStack()
        if not chief:  # TensorFlow makes every process write files
            run_dir = self._temporary.enter_context(temporary_folder())
        self._latest = CheckpointFolder(run_dir / CHECKPOINT_FOLDER, keep)
        self._best = CheckpointFolder(run_dir / BEST_FOLDER, 1)

    def save(self, step: int, losses: Sequence[Sequence[float]] = ()) -> None:
        """Save the state after `step` steps, unless this process has already saved or restored it.

        `losses` are those of the steps that no line of metrics covers yet, each with its terms.

        Raises:
          EnvironmentProblem: the files can't be written.
        """
        self._save(self._latest, step, losses)
        self.kept_step = step

    def save_best(self, step: int) -> None:
        """Save the state after `step` steps as the best one."""
        self._save(self._best, step)

    def is_finite(self) -> bool:
        """Return whether all weights and all averages are finite numbers."""
        replicas = tf.distribute.get_strategy().experimental_local_results
        return all(bool(tf.reduce_all(tf.math.is_finite(replicas(weight)[0]))) for weight in self._weights)

    def _save(self, folder: CheckpointFolder, step: int, losses: Sequence[Sequence[float]] = ()) -> None:
        if (folder.path, step) in self._saved:
            return
        try:
            self._state.save(folder, step, losses)
        except (tf.errors.OpError, OSError) as error:
            remove_unfinished(folder.path)
            if is_lost_peer(error):
                raise
            goes_on = "resumes from the previous checkpoint" if list_checkpoints(self._latest.path) else "starts over"
            raise EnvironmentProblem(
                f"can't write the checkpoint of step {step} to {folder.path} ({_reason(error)}); free some "
                f"space, then start the command again: it {goes_on}"
            ) from error
        self._saved.add((folder.path, step))

    def restore(self, run_dir: Path) -> tuple[int, list[list[float]]]:
        """Restore the newest complete checkpoint of `run_dir`.

        Returns:
          its step, and the losses that were saved with it; 0 and [] if there is no checkpoint.

        Raises:
          CheckpointError: there are checkpoints, but none can be read into this net.
        """
        folder = run_dir / CHECKPOINT_FOLDER
        prefixes = list_checkpoints(folder)
        several = Processes(tf.distribute.get_strategy()).several
        restore = self._state.restore_in_this_process if several else self._state.restore
        reasons: list[str] = []
        for prefix in reversed(prefixes):
            try:
                restore(prefix)
            except UNREADABLE as error:
                reasons.append(self._other_net(prefix) or _reason(error))
                continue
            if reasons:
                warn(f"can't read the newest checkpoint ({reasons[0]}); resuming from the one before it, {prefix}")
            self.kept_step = self._state.step
            self._saved.add((self._latest.path, self.kept_step))
            return self.kept_step, self._state.losses
        if prefixes:
            raise CheckpointError(
                f"can't restore any of the {len(prefixes)} checkpoints in {folder} ({reasons[0]}); start over with "
                "--fresh, which moves the old run aside, or choose another --run-dir"
            )
        return 0, []

    def _other_net(self, prefix: str) -> str | None:
        """Name the net of a checkpoint if it differs from the net of this run."""
        try:
            theirs = read_info(prefix)
        except CheckpointError:
            return None
        expected, found = (
            f"{net_label(info)} at width {info['width']:g} with {len(info['labels'])} classes"
            for info in (self._info, theirs)
        )
        return None if expected == found else f"it holds {found}, expected {expected}"

    def close(self) -> None:
        """Remove the temporary files of a process that is not the chief."""
        self._temporary.close()


def _reason(error: Exception) -> str:
    """The first line of an error, shortened if it is a full disk."""
    text = first_line(error)
    return "no space left on device" if "No space left on device" in text else text
