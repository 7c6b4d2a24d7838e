"""Checkpoints: whole or not there, found again, and refused in words where they don't fit."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from mnasnet_cli.checkpoints.files import find_checkpoint, list_checkpoints, newest_checkpoint
from mnasnet_cli.checkpoints.reader import read_checkpoint, read_info
from mnasnet_cli.config.schema import OptimizerConfig
from mnasnet_cli.errors import CheckpointError
from mnasnet_cli.models.slim_module import SlimModule
from mnasnet_cli.training.checkpoint_manager import Checkpoints
from mnasnet_cli.training.ema import MovingAverage
from mnasnet_cli.training.optimizers import Optimizer

INFO = {"task": "classification", "variant": "b1", "width": 1.0, "labels": ["a", "b"]}


class State:
    """A model of one weight [size] with all that a run saves, as a process has it."""

    def __init__(self, run: Path, *, size: int = 2, keep: int = 3, info: dict[str, Any] = INFO):
        def net() -> Any:
            return tf.compat.v1.get_variable("A/b.c/weights", [size], initializer=tf.compat.v1.zeros_initializer())

        self.run = run
        self.model = SlimModule(net)
        self.model()
        self.weight = self.model.weights["A/b.c/weights"]
        optimizer = Optimizer(OptimizerConfig(), self.model.trainable, frozenset())
        self.average = MovingAverage(self.model.weights)
        self.checkpoints = Checkpoints(run, self.model, optimizer, self.average, info, keep=keep, chief=True)

    def save(self, *steps: int) -> None:
        for step in steps:
            self.weight.assign(tf.fill(self.weight.shape, float(step)))
            self.checkpoints.save(step, [0.5])

    def restore(self) -> tuple[int, list[float]]:
        return self.checkpoints.restore(self.run)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_saves_and_restores(tmp_path: Path) -> None:
    State(tmp_path).save(5, 10)
    state = State(tmp_path)
    assert state.restore() == (10, [0.5])
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
    assert state.restore() == (1, [0.5])
    assert state.weight.numpy().tolist() == [1.0, 1.0]
    [warning] = capsys.readouterr().err.splitlines()
    assert "warning: the newest checkpoint can't be read" in warning
    assert "going on from" in warning
    state.save(2)
    assert State(tmp_path).restore() == (2, [0.5])


@pytest.mark.parametrize("content", [b"", b"\xff\x00\x80", b"nonsense", None])
def test_a_damaged_state_file_hides_nothing(tmp_path: Path, content: bytes | None) -> None:
    State(tmp_path).save(9, 10)
    state_file = tmp_path / "checkpoints" / "checkpoint"
    state_file.unlink() if content is None else state_file.write_bytes(content)
    assert [Path(prefix).name for prefix in list_checkpoints(tmp_path / "checkpoints")] == ["ckpt-9", "ckpt-10"]
    state = State(tmp_path)
    assert state.restore() == (10, [0.5])
    state.save(11)
    assert State(tmp_path).restore() == (11, [0.5])


def test_what_a_kill_left_of_a_save_is_removed(tmp_path: Path) -> None:
    State(tmp_path).save(1)
    folder = tmp_path / "checkpoints"
    whole = names(folder)
    (folder / "ckpt-2_temp").mkdir()
    (folder / "ckpt-2_temp" / "part-00000-of-00001.data-00000-of-00001").write_bytes(b"half")
    (folder / "ckpt-2.data-00000-of-00001").write_bytes(b"whole, but its index is not there")
    (folder / "checkpoint.tmp0123456789abcdef").write_bytes(b"")
    assert State(tmp_path).restore() == (1, [0.5])
    assert names(folder) == whole


def test_a_run_that_was_moved_keeps_its_checkpoints(tmp_path: Path) -> None:
    State(tmp_path / "old").save(1)
    shutil.move(tmp_path / "old", tmp_path / "new")
    assert State(tmp_path / "new").restore() == (1, [0.5])


def test_another_nets_checkpoint_is_named(tmp_path: Path) -> None:
    State(tmp_path, info={**INFO, "variant": "a1"}, size=3).save(1)
    with pytest.raises(CheckpointError, match="holds a1 at width 1 with 2 classes, but the run is for b1 at width 1"):
        State(tmp_path).restore()


def test_weights_that_are_not_finite_are_seen(tmp_path: Path) -> None:
    state = State(tmp_path)
    assert state.checkpoints.is_finite()
    state.average.weights["A/b.c/weights"].assign([1.0, float("inf")])
    assert not state.checkpoints.is_finite()


def test_contents_are_read_by_slim_names(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.average.weights["A/b.c/weights"].assign([7.0, 7.0])
    state.save(3)
    averaged, plain = (
        read_checkpoint(newest_checkpoint(tmp_path)),
        read_checkpoint(newest_checkpoint(tmp_path), ema=False),
    )
    assert (averaged.step, averaged.info, averaged.averaged, plain.averaged) == (3, INFO, True, False)
    assert {name: value.tolist() for name, value in averaged.weights.items()} == {"A/b.c/weights": [7.0, 7.0]}
    assert {name: value.tolist() for name, value in plain.weights.items()} == {"A/b.c/weights": [3.0, 3.0]}


def test_a_model_is_a_run_or_a_prefix_or_an_error(tmp_path: Path) -> None:
    State(tmp_path / "run").save(1)
    prefix = f"{tmp_path}/run/checkpoints/ckpt-1"
    assert find_checkpoint(str(tmp_path / "run")) == prefix
    assert find_checkpoint(prefix) == prefix
    assert find_checkpoint(f"{prefix}.index") == prefix
    with pytest.raises(CheckpointError, match="no model at"):
        find_checkpoint(f"{tmp_path}/nothing")
    with pytest.raises(CheckpointError, match="has no checkpoint yet"):
        find_checkpoint(str(tmp_path))


def test_a_folder_of_checkpoints_is_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = State(tmp_path / "run")
    run.save(1, 2)
    run.checkpoints.save_best(1)
    assert find_checkpoint(f"{tmp_path}/run/checkpoints") == f"{tmp_path}/run/checkpoints/ckpt-2"
    best = f"{tmp_path}/run/best/ckpt-1"
    for folder, asked in (("best", False), ("best", True), ("checkpoints", True)):
        assert find_checkpoint(f"{tmp_path}/run/{folder}", best=asked) == best
    monkeypatch.chdir(tmp_path / "run" / "checkpoints")
    assert Path(find_checkpoint(".", best=True)) == Path(best)


def test_a_foreign_or_damaged_checkpoint_is_an_error(tmp_path: Path) -> None:
    foreign = tf.train.Checkpoint(x=tf.Variable(1.0)).write(str(tmp_path / "foreign"))
    with pytest.raises(CheckpointError, match="was not written by mnasnet"):
        read_checkpoint(foreign)
    with pytest.raises(CheckpointError, match="was not written by mnasnet"):
        read_info(foreign)
    State(tmp_path).save(2)
    cut_data(tmp_path / "checkpoints")
    with pytest.raises(CheckpointError, match="is not a whole checkpoint"):
        read_checkpoint(newest_checkpoint(tmp_path))
