"""Weights and information as they are read from checkpoints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from one_weight_model import INFO, WEIGHT, one_weight_model

from mnasnet_cli.checkpoints.folder import CheckpointFolder
from mnasnet_cli.checkpoints.reader import CheckpointContents, read_checkpoint, read_info
from mnasnet_cli.checkpoints.writer import SavedState
from mnasnet_cli.errors import CheckpointError
from mnasnet_cli.training.optimization.ema import MovingAverage


def save(folder: Path, info: dict[str, object] = INFO) -> str:
    """Saves the weight [3, 3] with the average [7, 7] at step 3."""
    model = one_weight_model()
    average = MovingAverage(model.weights)
    model.weights[WEIGHT].assign([3.0, 3.0])
    average.weights[WEIGHT].assign([7.0, 7.0])
    state = SavedState(model, info, average=average)
    return state.save(CheckpointFolder(folder, keep=1), 3)


def test_weights_are_read_by_slim_names(tmp_path: Path) -> None:
    prefix = save(tmp_path)
    averaged, plain = read_checkpoint(prefix), read_checkpoint(prefix, ema=False)
    assert (averaged.step, averaged.info, averaged.averaged, plain.averaged) == (3, INFO, True, False)
    assert {name: value.tolist() for name, value in averaged.weights.items()} == {WEIGHT: [7.0, 7.0]}
    assert {name: value.tolist() for name, value in plain.weights.items()} == {WEIGHT: [3.0, 3.0]}


def test_the_digest_is_of_all_weights() -> None:
    def digest(**weights: np.ndarray) -> str:
        return CheckpointContents("", 0, {}, weights, averaged=False).weights_sha256

    a, b = np.zeros(2, np.float32), np.ones((1, 2), np.float32)
    assert digest(a=a, b=b) == digest(b=b, a=a)
    assert len({digest(a=a, b=b), digest(a=a), digest(a=a, b=b + 1), digest(a=a, b=b[0]), digest(a=b, b=a)}) == 5


def test_the_older_name_of_a_task_is_read(tmp_path: Path) -> None:
    prefix = save(tmp_path, {**INFO, "task": "imagenet"})
    assert read_info(prefix)["task"] == read_checkpoint(prefix).task == "classification"


def test_a_foreign_checkpoint_is_an_error(tmp_path: Path) -> None:
    foreign = tf.train.Checkpoint(x=tf.Variable(1.0)).write(str(tmp_path / "foreign"))
    for read in (read_checkpoint, read_info):
        with pytest.raises(CheckpointError, match=r"foreign.*mnasnet import"):
            read(foreign)


def test_a_damaged_checkpoint_is_an_error(tmp_path: Path) -> None:
    prefix = save(tmp_path)
    data = Path(f"{prefix}.data-00000-of-00001")
    data.write_bytes(data.read_bytes()[:20])
    with pytest.raises(CheckpointError, match=prefix):
        read_checkpoint(prefix)
