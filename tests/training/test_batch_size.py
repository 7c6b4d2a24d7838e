"""`--batch-size auto`: the number that memory, the epoch and the task allow, and that a run keeps."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from begun_training import begin_training
from tiny_net import FLAGS as TRAINED_FLAGS

from mnasnet_cli.config.loading import load_config
from mnasnet_cli.config.schema import AUTO_BATCH_SIZE, Config
from mnasnet_cli.config.task_names import TaskName
from mnasnet_cli.errors import ConfigError, EnvironmentProblem
from mnasnet_cli.training import batch_size
from mnasnet_cli.training.batch_size import SHARE_OF_MEMORY, StepMemory, choose_batch_size, measure_step


def memory_for(images: int, devices: int = 1) -> StepMemory:
    """Memory with room for this many images."""
    return StepMemory(1e9, 1e6, (1e9 + images * 1e6 + 1) / SHARE_OF_MEMORY, devices)


def config_with(*settings: str, task: TaskName = "classification") -> Config:
    return load_config(task=task, assignments=["training.batch_size=auto", *settings])


# Of FLAGS in tiny_net.py, without the batch size.
FLAGS = ("--config=quick", "--variant=tiny", "--image-size=32", "--set=model.zero_init_residual=false")


@pytest.mark.parametrize(
    ("room", "examples", "expected"),
    [(100, 100_000, 96), (70, 100_000, 64), (1, 100_000, 1), (629, 9_469, 256), (629, 500, 24), (629, 3, 1)],
)
def test_batch_size_is_the_largest_round_number_with_room(room: int, examples: int, expected: int) -> None:
    size, reason = choose_batch_size(config_with(), examples, memory_for(room))
    assert size == expected
    assert reason.startswith("by memory") == (room < min(256, examples // 20))


def test_batch_size_is_divisible_by_all_that_split_it() -> None:
    parts = config_with("training.batch_parts=3", "training.accumulate_steps=2")
    assert choose_batch_size(parts, 10**6, memory_for(20, devices=2))[0] == 72  # 18 images at a time and device
    assert choose_batch_size(config_with(task="detection"), 10**6, memory_for(500))[0] == 64


def test_no_room_for_one_image_is_an_error_that_names_the_numbers() -> None:
    with pytest.raises(EnvironmentProblem, match=r"no room for a training step of 1 images at 224 px.*--image-size"):
        choose_batch_size(config_with(), 1000, memory_for(0))


def test_auto_is_read_and_written_as_a_word() -> None:
    config = config_with()
    assert config.training.batch_size == AUTO_BATCH_SIZE
    assert yaml.safe_load(config.to_yaml())["training"]["batch_size"] == "auto"
    for wrong in ("0", "-3", "many"):
        with pytest.raises(ConfigError, match=r"training\.batch_size=.*at least 1, or auto"):
            load_config(assignments=[f"training.batch_size={wrong}"])


def test_a_run_takes_the_number_that_was_measured(
    mnasnet: Callable, tiny_net: None, shape_records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = [*FLAGS, f"--data={shape_records}", f"--run-dir={tmp_path / 'run'}", "--batch-size=auto"]
    monkeypatch.setattr(batch_size, "measure_step", lambda *_: memory_for(300))
    begun = begin_training(lambda: mnasnet("train-imagenet", *flags, "--epochs=2"))
    assert "batch size 4, for 20 steps an epoch; memory has room for 300" in begun.outcome.err
    assert (begun.trainer.config.training.batch_size, begun.trainer.total_steps) == (4, 2 * 24)


def test_a_run_keeps_the_number_that_it_began_with(
    mnasnet: Callable,
    tiny_net: None,
    shape_records: Path,
    trained_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(trained_run, tmp_path / "run")
    monkeypatch.setattr(batch_size, "measure_step", lambda *_: pytest.fail("measured again"))
    flags = [*TRAINED_FLAGS, f"--data={shape_records}", f"--run-dir={tmp_path / 'run'}", "--batch-size=auto"]
    again = mnasnet("train-imagenet", *flags)
    assert again.code == 0, again.err
    assert "batch size 16, as the run began" in again.err


def test_several_machines_must_name_a_number(
    mnasnet: Callable, tiny_net: None, shape_records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = {"cluster": {"worker": ["localhost:1", "localhost:2"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))
    result = mnasnet("train-imagenet", *FLAGS, f"--data={shape_records}", f"--run-dir={tmp_path}", "--batch-size=auto")
    assert result.code == 2
    assert "the memory of several machines; name a number" in result.err


@pytest.mark.slow
@pytest.mark.parametrize("task", ["classification", "detection"])
def test_memory_of_a_step_is_measured(task: TaskName, shape_records: Path, scene_records: Path) -> None:
    records = shape_records if task == "classification" else scene_records
    memory = measure_step(config_with("model.variant=small", "data.image_size=64", task=task), records)
    assert 1e8 < memory.fixed < 4e9
    assert 1e5 < memory.per_image < 2e8
    assert memory.room > 1
