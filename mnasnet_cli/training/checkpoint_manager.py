"""The checkpoints of a training run: saved whole or not at all, and restored on resume."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from mnasnet_cli.checkpoints.files import BEST_FOLDER, CHECKPOINT_FOLDER, list_checkpoints, remove_unfinished
from mnasnet_cli.checkpoints.format import SavedText, checkpoint_keys, read_into, read_text
from mnasnet_cli.checkpoints.reader import UNREADABLE, read_info
from mnasnet_cli.console import warn
from mnasnet_cli.distributed.strategy import Processes, is_lost_peer
from mnasnet_cli.errors import CheckpointError, EnvironmentProblem, first_line
from mnasnet_cli.models.slim_module import SlimModule
from mnasnet_cli.system.temporary_folder import TemporaryFolder
from mnasnet_cli.training.ema import MovingAverage
from mnasnet_cli.training.optimizers import Optimizer


class Checkpoints:
    """The checkpoints of one run: the last few, and the best by the validation metric.

    Saving is collective: with several workers all of them call it, and the chief's files stay.
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
        self.step = tf.Variable(0, trainable=False, dtype=tf.int64, name="step")
        parts: dict[str, Any] = {"step": self.step, "model": model, "optimizer": optimizer}
        parts["info"] = SavedText(json.dumps(dict(info)))
        if average is not None:
            parts["average"] = average
        self._losses = SavedText("[]")
        parts["losses"] = self._losses
        self._checkpoint = tf.train.Checkpoint(**parts)
        averages = average.weights if average is not None else {}
        self._weights = [*model.weights.values(), *averages.values()]
        self._variables = {"step": self.step, **checkpoint_keys("model/weights", model.weights)}
        self._variables |= checkpoint_keys("average/weights", averages)
        for slot, variables in optimizer.slots.items():
            self._variables |= checkpoint_keys(f"optimizer/slots/{slot}", variables)
        self._info = info
        self.kept_step: int | None = None
        self._saved: set[tuple[str, int]] = set()
        self._temporary = None if chief else TemporaryFolder()  # TensorFlow has every process write
        run_dir = self._temporary.path if self._temporary else run_dir
        self._latest = self._manager(run_dir / CHECKPOINT_FOLDER, keep)
        self._best = self._manager(run_dir / BEST_FOLDER, 1)

    def _manager(self, folder: Path, keep: int) -> tf.train.CheckpointManager:
        remove_unfinished(folder)
        return tf.train.CheckpointManager(self._checkpoint, str(folder), max_to_keep=keep, checkpoint_name="ckpt")

    def save(self, step: int, losses: Sequence[float] = ()) -> None:
        """Saves the state after `step` steps, unless this process has just saved or restored it.

        `losses` are those that no line of metrics has accounted for yet.
        """
        self._losses.text = json.dumps(list(losses))
        self._save(self._latest, step)
        self.kept_step = step

    def save_best(self, step: int) -> None:
        self._losses.text = "[]"
        self._save(self._best, step)

    def is_finite(self) -> bool:
        """Whether every weight, averaged ones included, is a finite number."""
        local = tf.distribute.get_strategy().experimental_local_results
        return all(bool(tf.reduce_all(tf.math.is_finite(local(weight)[0]))) for weight in self._weights)

    def _save(self, manager: tf.train.CheckpointManager, step: int) -> None:
        if (manager.directory, step) in self._saved:
            return
        self.step.assign(step)
        try:
            manager.save(checkpoint_number=step)
        except (tf.errors.OpError, OSError) as error:
            remove_unfinished(Path(manager.directory))
            if is_lost_peer(error):
                raise
            raise EnvironmentProblem(
                f"the checkpoint of step {step} could not be written to {manager.directory} ({_reason(error)}); "
                "make room, then start the command again: it goes on from the checkpoint before"
            ) from error
        self._saved.add((manager.directory, step))

    def restore(self, run_dir: Path) -> tuple[int, list[float]]:
        """Restores the newest whole checkpoint of `run_dir`.

        Returns:
          its step, and the losses that were saved with it; 0 and none where there is no checkpoint.

        Raises:
          CheckpointError: there are checkpoints, but none can be read into this net.
        """
        folder = run_dir / CHECKPOINT_FOLDER
        prefixes = list_checkpoints(folder)
        reasons: list[str] = []
        for prefix in reversed(prefixes):
            try:
                self._restore(prefix)
            except UNREADABLE as error:
                reasons.append(self._other_net(prefix) or _reason(error))
                continue
            if reasons:
                warn(f"the newest checkpoint can't be read ({reasons[0]}); going on from {prefix} before it")
            self.kept_step = int(self.step.numpy())
            self._saved.add((self._latest.directory, self.kept_step))
            return self.kept_step, json.loads(self._losses.text)
        if prefixes:
            raise CheckpointError(
                f"none of the {len(prefixes)} checkpoints in {folder} can be read into this net ({reasons[0]}); start "
                f"over with --fresh, which moves the old run aside, or choose another --run-dir"
            )
        return 0, []

    def _restore(self, prefix: str) -> None:
        if not Processes(tf.distribute.get_strategy()).several:
            self._checkpoint.restore(prefix).assert_consumed()
            return
        # TensorFlow's own way reads the moving statistics first, which takes all processes; this is the chief alone.
        read_into(prefix, self._variables)
        self._losses.text = read_text(prefix, "losses")

    def _other_net(self, prefix: str) -> str | None:
        """What a checkpoint holds in the place of this run's net, where that is another one."""
        try:
            theirs = read_info(prefix)
        except CheckpointError:
            return None
        ours, theirs_too = (
            f"{info['variant']} at width {info['width']:g} with {len(info['labels'])} classes"
            for info in (self._info, theirs)
        )
        return None if ours == theirs_too else f"it holds {theirs_too}, but the run is for {ours}"

    def close(self) -> None:
        """Removes what a process that is not the chief has saved for nothing."""
        if self._temporary:
            self._temporary.remove()


def _reason(error: Exception) -> str:
    """An error's first line, without the file name that stands beside it."""
    text = first_line(error)
    return "no space left on device" if "No space left on device" in text else text
