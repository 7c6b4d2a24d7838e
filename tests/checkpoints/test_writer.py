"""What a checkpoint holds, and that it comes back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tensorflow as tf
from one_weight_model import INFO, WEIGHT, one_weight_model

from mnasnet_cli.checkpoints.folder import CheckpointFolder
from mnasnet_cli.checkpoints.writer import SavedState
from mnasnet_cli.config.schema import OptimizerConfig
from mnasnet_cli.training.optimization.ema import MovingAverage
from mnasnet_cli.training.optimization.optimizers import Optimizer

# As of version 1: a checkpoint with other keys can't be resumed or read by older versions.
NET_KEYS = {"step", "info", "losses", "save_counter", "model/weights/A.Sb..c.Sweights"}
RUN_KEYS = {*NET_KEYS, "average/weights/A.Sb..c.Sweights", "optimizer/slots/momentum/A.Sb..c.Sweights"}


class Run:
    """The state of a training run: each variable holds another value."""

    def __init__(self, value: float = 0.0):
        self.model = one_weight_model()
        optimizer = Optimizer(OptimizerConfig(name="sgd"), self.model.trainable, frozenset())
        average = MovingAverage(self.model.weights)
        self.variables = [self.model.weights[WEIGHT], optimizer.slots["momentum"][WEIGHT], average.weights[WEIGHT]]
        for number, variable in enumerate(self.variables):
            variable.assign([value, value + number])
        self.state = SavedState(self.model, INFO, optimizer=optimizer, average=average)

    def save(self, folder: Path, step: int) -> str:
        return self.state.save(CheckpointFolder(folder, keep=2), step, [[0.5], [0.25, 1.0]])


def keys(prefix: str) -> set[str]:
    found = tf.train.load_checkpoint(prefix).get_variable_to_shape_map()
    return {key.removesuffix("/.ATTRIBUTES/VARIABLE_VALUE") for key in found} - {"_CHECKPOINTABLE_OBJECT_GRAPH"}


def test_keys(tmp_path: Path) -> None:
    assert keys(Run().save(tmp_path / "run", 1)) == RUN_KEYS
    state = SavedState(one_weight_model(), INFO)
    prefix = state.save(CheckpointFolder(tmp_path / "net", keep=1), 0)
    assert keys(prefix) == NET_KEYS
    reader = tf.train.load_checkpoint(prefix)
    assert json.loads(reader.get_tensor("info/.ATTRIBUTES/VARIABLE_VALUE")) == INFO


@pytest.mark.parametrize("method", ["restore", "restore_in_this_process"])
def test_restores(tmp_path: Path, method: str) -> None:
    prefix = Run(3.0).save(tmp_path, 7)
    run = Run()
    getattr(run.state, method)(prefix)
    assert (run.state.step, run.state.losses) == (7, [[0.5], [0.25, 1.0]])
    assert [variable.numpy().tolist() for variable in run.variables] == [[3.0, 3.0], [3.0, 4.0], [3.0, 5.0]]


def test_a_checkpoint_with_more_is_refused(tmp_path: Path) -> None:
    prefix = Run().save(tmp_path, 1)
    with pytest.raises(AssertionError):
        SavedState(one_weight_model(), INFO).restore(prefix)
