"""Writes checkpoints of nets and of training runs, and restores the state of a training run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from mnasnet_cli.checkpoints.folder import CheckpointFolder
from mnasnet_cli.checkpoints.format import (
    AVERAGED_WEIGHTS,
    INFO,
    LOSSES,
    MODEL_WEIGHTS,
    SLOTS,
    STEP,
    SavedText,
    value_key,
    variable_key,
)
from mnasnet_cli.checkpoints.reader import open_checkpoint
from mnasnet_cli.modules.slim_module import SlimModule
from mnasnet_cli.system.documents import parse_json, validate
from mnasnet_cli.system.plain_paths import plain_prefix


class SavedState:
    """Everything that a checkpoint holds, saved and restored together."""

    def __init__(self, model: SlimModule, info: Mapping[str, Any], *, optimizer: Any = None, average: Any = None):
        """Collects the state.

        Args:
          info: see `modules.info.model_info`.
          optimizer: a module whose `slots` are slot name → weight name → variable; None outside of training.
          average: a module whose `weights` are the averaged weights by name; None without them.
        """
        self._step = tf.Variable(0, trainable=False, dtype=tf.int64, name=STEP)
        self._losses = SavedText("[]")
        parts: dict[str, Any] = {STEP: self._step, "model": model}
        self._variables = {value_key(STEP): self._step, **_keys(MODEL_WEIGHTS, model.weights)}
        if optimizer is not None:
            parts["optimizer"] = optimizer
            for slot, variables in optimizer.slots.items():
                self._variables |= _keys(f"{SLOTS}/{slot}", variables)
        parts[INFO] = SavedText(json.dumps(dict(info)))
        if average is not None:
            parts["average"] = average
            self._variables |= _keys(AVERAGED_WEIGHTS, average.weights)
        parts[LOSSES] = self._losses
        self._checkpoint = tf.train.Checkpoint(**parts)

    @property
    def step(self) -> int:
        return int(self._step.numpy())

    @property
    def losses(self) -> list[list[float]]:
        """The losses that were saved with the state, each with its terms."""
        stored = parse_json(self._losses.text, "the losses", foreign=True)
        found = validate(stored, list[float | list[float]], "the losses")
        return [row if isinstance(row, list) else [row] for row in found]

    def save(self, folder: CheckpointFolder, step: int, losses: Sequence[Sequence[float]] = ()) -> str:
        """Save the state as that of a step, and return the prefix. Raises as `CheckpointFolder.write`.

        `losses` are those of the steps that no line of metrics covers yet, each with its terms.
        """
        # A loss without terms is a number, as in checkpoints that were written before there were terms.
        self._losses.text = json.dumps([row[0] if len(row) == 1 else list(row) for row in losses])
        self._step.assign(step)
        return folder.write(self._checkpoint, step)

    def restore(self, prefix: str) -> None:
        """Restore a checkpoint. With several processes all of them must call this.

        Raises:
          AssertionError: the checkpoint holds variables that this state does not have.
        """
        with plain_prefix(prefix) as plain:
            self._checkpoint.restore(plain).assert_consumed()

    def restore_in_this_process(self, prefix: str) -> None:
        """Restore a checkpoint in one of several processes; the others need not call this."""
        # `tf.train.Checkpoint.restore` would read the moving statistics first, which takes all processes.
        with open_checkpoint(prefix) as reader:
            for key, variable in self._variables.items():
                value = reader.get_tensor(key)
                for replica in tf.distribute.get_strategy().experimental_local_results(variable):
                    replica.assign(value)
            self._losses.text = reader.get_tensor(value_key(LOSSES)).decode()


def _keys(folder: str, variables: Mapping[str, tf.Variable]) -> dict[str, tf.Variable]:
    return {variable_key(folder, name): variable for name, variable in variables.items()}
