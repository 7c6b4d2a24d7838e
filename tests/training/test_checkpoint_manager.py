"""The checkpoints of a run: kept, found again, and refused if they don't fit."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from one_weight_model import INFO, WEIGHT, one_weight_model

from mnasnet_cli.checkpoints.files import list_checkpoints, newest_checkpoint
from mnasnet_cli.config.schema import OptimizerConfig
from mnasnet_cli.errors import CheckpointError
from mnasnet_cli.training.checkpoint_manager import CheckpointManager
from mnasnet_cli.training.optimization.ema import MovingAverage
from mnasnet_cli.training.optimization.optimizers import Optimizer


class State:
    """A model of one weight [size] with all that a run saves, as a process has it."""

    def __init__(self, run: Path, *, size: int = 2, keep: int = 3, info: dict[str, Any] = INFO):
        self.run = run
        model = one_weight_model(size)
        self.weight = model.weights[WEIGHT]
        optimizer = Optimizer(OptimizerConfig(), model.trainable, frozenset())
        self.average = MovingAverage(model.weights)
        self.checkpoints = CheckpointManager(run, model, optimizer, self.average, info, keep=keep, chief=True)

    def save(self, *steps: int) -> None:
        for step in steps:
            self.weight.assign(tf.fill(self.weight.shape, float(step)))
            self.checkpoints.save(step, [[0.5]])

    def restore(self) -> tuple[int, list[float]]:
        return self.checkpoints.restore(self.run)


def test_saves_and_restores(tmp_path: Path) -> None:
    State(tmp_path).save(5, 10)
    state = State(tmp_path)
    assert state.restore() == (10, [[0.5]])
    assert state.weight.numpy().tolist() == [10.0, 10.0]


def test_a_run_without_checkpoints_begins_at_0(tmp_path: Path) -> None:
    assert State(tmp_path).restore() == (0, [])


def test_the_last_few_are_kept_and_the_best(tmp_path: Path) -> None:
    state = State(tmp_path, keep=2)
    state.checkpoints.save_best(1)
    state.save(1, 2, 3)
    assert [Path(prefix).name for prefix in list_checkpoints(tmp_path / "checkpoints")] == ["ckpt-2", "ckpt-3"]
    assert newest_checkpoint(tmp_path).endswith("checkpoints/ckpt-3")
    assert newest_checkpoint(tmp_path, best=True).endswith("best/ckpt-1")
    # A process that goes on keeps counting the older ones.
    state = State(tmp_path, keep=2)
    state.restore()
    state.save(4)
    assert [Path(prefix).name for prefix in list_checkpoints(tmp_path / "checkpoints")] == ["ckpt-3", "ckpt-4"]


def cut_data(folder: Path) -> None:
    data = folder / "ckpt-2.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:20])


def flip_data(folder: Path) -> None:
    data = folder / "ckpt-2.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[len(content) // 2 :] = bytes(byte ^ 255 for byte in content[len(content) // 2 :])
    data.write_bytes(content)


def cut_index(folder: Path) -> None:
    index = folder / "ckpt-2.index"
    index.write_bytes(index.read_bytes()[:50])


def empty_index(folder: Path) -> None:
    (folder / "ckpt-2.index").write_bytes(b"")


def no_data(folder: Path) -> None:
    (folder / "ckpt-2.data-00000-of-00001").unlink()


@pytest.mark.parametrize("damage", [cut_data, flip_data, cut_index, empty_index, no_data])
def test_a_damaged_newest_one_is_passed_over_with_a_warning_and_written_again(
    tmp_path: Path, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    State(tmp_path).save(1, 2)
    damage(tmp_path / "checkpoints")
    state = State(tmp_path)
    assert state.restore() == (1, [[0.5]])
    assert state.weight.numpy().tolist() == [1.0, 1.0]
    [warning] = capsys.readouterr().err.splitlines()
    assert warning.startswith("warning: ")
    assert f"{tmp_path}/checkpoints/ckpt-1" in warning
    state.save(2)
    assert State(tmp_path).restore() == (2, [[0.5]])


@pytest.mark.parametrize("content", [b"", b"\xff\x00\x80", b"nonsense", None])
def test_a_damaged_state_file_hides_nothing(tmp_path: Path, content: bytes | None) -> None:
    State(tmp_path).save(9, 10)
    state_file = tmp_path / "checkpoints" / "checkpoint"
    state_file.unlink() if content is None else state_file.write_bytes(content)
    state = State(tmp_path)
    assert state.restore() == (10, [[0.5]])
    state.save(11)
    assert State(tmp_path).restore() == (11, [[0.5]])


def test_a_run_that_was_moved_keeps_its_checkpoints(tmp_path: Path) -> None:
    State(tmp_path / "old").save(1)
    shutil.move(tmp_path / "old", tmp_path / "new")
    assert State(tmp_path / "new").restore() == (1, [[0.5]])


def test_another_nets_checkpoint_is_named(tmp_path: Path) -> None:
    State(tmp_path, info={**INFO, "variant": "a1"}, size=3).save(1)
    with pytest.raises(CheckpointError) as caught:
        State(tmp_path).restore()
    for fact in (f"{tmp_path}/checkpoints", "a1 at width 1 with 2 classes", "b1 at width 1", "--fresh", "--run-dir"):
        assert fact in str(caught.value)


def test_weights_that_are_not_finite_are_seen(tmp_path: Path) -> None:
    state = State(tmp_path)
    assert state.checkpoints.is_finite()
    state.average.weights[WEIGHT].assign([1.0, float("inf")])
    assert not state.checkpoints.is_finite()
