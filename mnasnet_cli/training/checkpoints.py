"""Checkpoints: written whole or not at all, read back by name, and carrying what their net needs to be used."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mnasnet_cli.console import warn
from mnasnet_cli.errors import CheckpointError, EnvironmentProblem
from mnasnet_cli.training.ema import MovingAverage
from mnasnet_cli.training.optimizers import Optimizer
from mnasnet_cli.variables import SlimModule

CHECKPOINT_FOLDER = "checkpoints"
BEST_FOLDER = "best"
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


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
        parts["info"] = tf.Variable(json.dumps(dict(info)), trainable=False, dtype=tf.string, name="info")
        if average is not None:
            parts["average"] = average
        self._checkpoint = tf.train.Checkpoint(**parts)
        if not chief:
            run_dir = Path(tempfile.mkdtemp(prefix="mnasnet-worker-"))
            self._scratch: Path | None = run_dir
        else:
            self._scratch = None
        self._latest = self._manager(run_dir / CHECKPOINT_FOLDER, keep)
        self._best = self._manager(run_dir / BEST_FOLDER, 1)

    def _manager(self, folder: Path, keep: int) -> tf.train.CheckpointManager:
        return tf.train.CheckpointManager(self._checkpoint, str(folder), max_to_keep=keep, checkpoint_name="ckpt")

    def save(self, step: int) -> None:
        """Saves the state after `step` steps; a checkpoint of that step that is already there stays as it is."""
        self._save(self._latest, step)

    def save_best(self, step: int) -> None:
        self._save(self._best, step)

    def _save(self, manager: tf.train.CheckpointManager, step: int) -> None:
        if manager.latest_checkpoint and manager.latest_checkpoint.endswith(f"ckpt-{step}"):
            return
        self.step.assign(step)
        try:
            manager.save(checkpoint_number=step)
        except (tf.errors.OpError, OSError) as error:
            raise EnvironmentProblem(
                f"the checkpoint of step {step} could not be written to {manager.directory} "
                f"({_first_line(error)}); the one before it is whole: make room, then start the command again"
            ) from error

    def restore(self, run_dir: Path) -> int:
        """Restores the newest whole checkpoint of `run_dir` and returns its step; 0 where there is none.

        Raises:
          CheckpointError: there are checkpoints, but none can be read into this net.
        """
        prefixes = list_checkpoints(run_dir / CHECKPOINT_FOLDER)
        for prefix in reversed(prefixes):
            try:
                self._checkpoint.restore(prefix).assert_consumed()
                return int(self.step.numpy())
            except (tf.errors.OpError, AssertionError, ValueError) as error:
                warn(f"{prefix} can't be read ({_first_line(error)}); trying the one before it")
        if prefixes:
            raise CheckpointError(
                f"none of the {len(prefixes)} checkpoints in {run_dir / CHECKPOINT_FOLDER} can be read into this net; "
                f"start over with --fresh, which moves the old run aside"
            )
        return 0

    def close(self) -> None:
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)


def list_checkpoints(folder: Path) -> list[str]:
    """Prefixes of the whole checkpoints in a folder, oldest first."""
    state = tf.train.get_checkpoint_state(str(folder))
    if state is None:
        return []
    return [prefix for prefix in state.all_model_checkpoint_paths if Path(f"{prefix}.index").is_file()]


def newest_checkpoint(run_dir: Path, *, best: bool = False) -> str:
    """Prefix of a run's newest checkpoint, or of its best one.

    Raises:
      CheckpointError: the run has none.
    """
    folders = [BEST_FOLDER, CHECKPOINT_FOLDER] if best else [CHECKPOINT_FOLDER]
    for folder in folders:
        if prefixes := list_checkpoints(run_dir / folder):
            return prefixes[-1]
    raise CheckpointError(
        f"{run_dir} has no checkpoint yet; train it with `mnasnet train-imagenet --run-dir {run_dir}`"
    )


def find_checkpoint(model: str, *, best: bool = False) -> str:
    """The checkpoint prefix that a MODEL argument means: a run directory's newest (or best) one, or a prefix itself.

    Raises:
      CheckpointError: there is no such checkpoint.
    """
    path = Path(model)
    if path.is_dir():
        return newest_checkpoint(path, best=best)
    prefix = model.removesuffix(".index")
    if Path(f"{prefix}.index").is_file():
        return prefix
    raise CheckpointError(
        f"no model at {model}: expected a run directory, or a checkpoint prefix such as "
        f"runs/imagenet-b1/{CHECKPOINT_FOLDER}/ckpt-1000"
    )


@dataclass(frozen=True)
class CheckpointContents:
    """A net's weights as they stand in a checkpoint."""

    prefix: str
    step: int
    info: dict[str, Any]
    """What `Task.model_info` said: task, variant, width, labels, preprocessing."""
    weights: dict[str, np.ndarray]
    averaged: bool
    """Whether these are the exponential moving averages."""


def read_checkpoint(prefix: str, *, ema: bool = True) -> CheckpointContents:
    """Reads weights by their slim names: the averaged ones where there are any, unless `ema` is False.

    Raises:
      CheckpointError: not a checkpoint of this toolkit, or damaged.
    """
    with _clear_errors(prefix):
        reader = tf.train.load_checkpoint(prefix)
        keys = reader.get_variable_to_shape_map()
        if f"info{_VALUE}" not in keys:
            raise CheckpointError(
                f"{prefix} was not written by mnasnet; bring foreign weights in with `mnasnet import`"
            )
        averaged = ema and any(key.startswith("average/weights/") for key in keys)
        root = "average/weights/" if averaged else "model/weights/"
        weights = {
            _unescape(key[len(root) : -len(_VALUE)]): reader.get_tensor(key)
            for key in keys
            if key.startswith(root) and key.endswith(_VALUE)
        }
        info = json.loads(reader.get_tensor(f"info{_VALUE}"))
        return CheckpointContents(prefix, int(reader.get_tensor(f"step{_VALUE}")), info, weights, averaged)


@contextlib.contextmanager
def _clear_errors(prefix: str) -> Iterator[None]:
    try:
        yield
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{prefix} is not a whole checkpoint: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _unescape(name: str) -> str:
    """Undoes the escaping of names in TensorFlow's object graph: "/" is ".S" and "." is ".."."""
    return name.replace("..", "\0").replace(".S", "/").replace("\0", ".")
