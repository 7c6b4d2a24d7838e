"""Failures while training: one line that names the cause, exit code 2, nothing lost and nothing left behind."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from begun_training import begin_training
from tiny_net import FLAGS

from mnasnet_cli.records.tfrecord import decode_example, encode_example, frame_record, read_records

pytestmark = pytest.mark.usefixtures("tiny_net")

# One block, images that are not mixed and keep their colors, a plain optimizer: a smaller graph, and the failures are
# the same.
PLAIN = (
    *FLAGS, "--variant=one-block", "--set=data.augment.mixup=0", "--set=data.augment.color_jitter=0",
    "--set=optimizer.name=sgd",
)  # fmt: skip


@pytest.fixture
def records(shape_records: Path, tmp_path: Path) -> Path:
    """A copy of the records that a test may damage."""
    return Path(shutil.copytree(shape_records, tmp_path / "records"))


@pytest.fixture
def train(mnasnet: Callable[..., Any], records: Path, tmp_path: Path) -> Callable[..., Any]:
    def run(*more: str) -> Any:
        flags = [*PLAIN, f"--data={records}", f"--run-dir={tmp_path / 'runs' / 'run'}", *more]
        return mnasnet("train-imagenet", *flags)

    return run


PROGRESS = ("train:", "evaluate:", "epoch ", "net: ", "recipe: ", "images: ", "steps: ", "device: ")


def error_of(outcome: Any) -> str:
    """The one line of an error, without the lines of progress."""
    assert outcome.code == 2, outcome.err
    assert outcome.out == ""
    errors = [line for line in outcome.lines if not line.startswith(PROGRESS)]
    assert len(errors) == 1, outcome.err
    assert errors[0].startswith("error: ")
    return str(errors[0])


def flip(shard: Path) -> None:
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 4
    shard.write_bytes(content)


def cut_in_a_record(shard: Path) -> None:
    shard.write_bytes(shard.read_bytes()[:-7])


def cut_between_records(shard: Path) -> None:
    rewrite(shard, lambda examples: examples[:-5])


def empty(shard: Path) -> None:
    shard.write_bytes(b"")


def rewrite(shard: Path, change: Callable[[list[Any]], list[Any]]) -> None:
    content = b""
    for example in change([decode_example(record) for record in read_records(shard)]):
        record = encode_example(example)
        header, footer = frame_record(record)
        content += header + record + footer
    shard.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "shard"),
    [
        (flip, "train-00002-of-00004"),
        pytest.param(cut_in_a_record, "train-00000-of-00004", marks=pytest.mark.slow),
        pytest.param(cut_between_records, "train-00003-of-00004", marks=pytest.mark.slow),
        pytest.param(empty, "train-00001-of-00004", marks=pytest.mark.slow),
        pytest.param(flip, "validation-00000-of-00002", marks=pytest.mark.slow),
        pytest.param(cut_between_records, "validation-00001-of-00002", marks=pytest.mark.variation),
    ],
)
def test_a_damaged_shard_is_named(
    train: Callable[..., Any], records: Path, tmp_path: Path, damage: Callable[[Path], None], shard: str
) -> None:
    damage(records / shard)
    assert shard in error_of(train())
    assert not (tmp_path / "runs").exists()


def cut_image(example: dict[str, Any]) -> None:
    example["image/encoded"] = [example["image/encoded"][0][:500]]


def wrong_label(example: dict[str, Any]) -> None:
    example["image/class/label"] = [5]


@pytest.mark.parametrize(
    ("damage", "facts"),
    [
        pytest.param(cut_image, ["decode"], marks=pytest.mark.slow),
        (wrong_label, ["5", "1..4"]),
    ],
)
def test_a_bad_example_in_a_whole_shard_is_named(
    train: Callable[..., Any], records: Path, tmp_path: Path, damage: Callable[[Any], None], facts: list[str]
) -> None:
    def change(examples: list[Any]) -> list[Any]:
        damage(examples[3])
        return examples

    rewrite(records / "train-00001-of-00004", change)
    error = error_of(train())
    assert "train-00001-of-00004, record 3" in error
    assert all(fact in error for fact in facts), error
    assert not (tmp_path / "runs").exists()


def test_records_that_dont_fit_are_refused_before_anything_is_made(
    train: Callable[..., Any], records: Path, tmp_path: Path
) -> None:
    error = error_of(train("--batch-size=98"))
    assert "96" in error
    assert "98" in error
    labels = (records / "labels.txt").read_text()
    (records / "labels.txt").write_text("n1\tone\nn2\ttwo\n")
    error = error_of(train())
    assert "dataset.json says 4 classes, but labels.txt has 2" in error
    (records / "labels.txt").write_text(labels)
    for shard in records.glob("validation-*"):
        shard.unlink()
    assert "validation" in error_of(train())
    (records / "dataset.json").write_text("{")
    assert "dataset.json" in error_of(train())
    assert str(tmp_path / "nothing") in error_of(train(f"--data={tmp_path / 'nothing'}"))
    assert not (tmp_path / "runs").exists()


def test_a_loss_that_is_not_finite_names_step_and_images_and_keeps_what_was_good(
    train: Callable[..., Any], tmp_path: Path, records: Path
) -> None:
    run = tmp_path / "runs" / "run"
    explode = ["--set=optimizer.learning_rate_per_256=1e38", "--set=schedule.warmup_epochs=0"]
    error = error_of(train(*explode))
    assert "epoch 1" in error
    assert "n9000000" in error
    assert (run / "train.log").exists()
    assert not list(run.glob("checkpoints/*"))
    assert all(
        "NaN" not in line and "Infinity" not in line for line in (run / "metrics.jsonl").read_text().splitlines()
    )
    # Without a checkpoint, the folder accepts other settings.
    begun = begin_training(lambda: train("--epochs=1"))
    assert (begun.step, begun.trainer.config.training.epochs) == (0, 1)


def test_an_explosion_later_keeps_the_checkpoint_before_it(
    train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mnasnet_cli.training.steps import StepsResult, TrainSteps

    original = TrainSteps.__call__

    def broken(self: TrainSteps, batches: Any, first_step: Any, *args: Any) -> StepsResult:
        result = original(self, batches, first_step, *args)
        if int(first_step) + int(result.done) == 12:  # the last update of the 2nd epoch; its loss was finite
            weight = next(iter(self.variables.values()))
            weight.assign(weight * math.inf)
        return result

    monkeypatch.setattr(TrainSteps, "__call__", broken)
    error = error_of(train("--epochs=2"))
    assert "at step 11 (epoch 2)" in error
    assert "of step 6" in error
    monkeypatch.setattr(TrainSteps, "__call__", original)
    assert begin_training(lambda: train("--epochs=2")).step == 6


def test_a_disk_that_fills_while_training_loses_nothing(
    mnasnet: Callable[..., Any], shape_records: Path, small_disk: Path, fill: Callable[[], Path], tmp_path: Path
) -> None:
    from mnasnet_cli.training.evaluator import Evaluator

    command = ["train-imagenet", *PLAIN, f"--data={shape_records}", "--epochs=2", "--set=training.keep_checkpoints=1"]
    filler: list[Path] = []
    original, evaluations = Evaluator.__call__, [0]

    def fill_first(self: Evaluator, *args: Any) -> Any:
        evaluations[0] += 1
        if evaluations[0] == 2:  # after step 12
            filler.append(fill())
        return original(self, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Evaluator, "__call__", fill_first)
        outcome = mnasnet(*command, f"--run-dir={small_disk / 'run'}")
    assert (outcome.code, outcome.out) == (2, ""), outcome.err
    assert outcome.lines[-1].startswith("error: ")  # there may be warnings before it, of what only informs
    assert "no space left on device" in outcome.lines[-1]
    for line in (small_disk / "run" / "metrics.jsonl").read_text().splitlines():
        json.loads(line)
    assert [path.name for path in (small_disk / "run").rglob("*") if "tmp" in path.name or "temp" in path.name] == []
    filler[0].unlink()
    assert begin_training(lambda: mnasnet(*command, f"--run-dir={small_disk / 'run'}")).step == 6
