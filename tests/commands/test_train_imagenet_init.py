"""`mnasnet train-imagenet --init`: what a training starts from."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from begun_training import begin_training
from killed_runs import Killed
from made_models import classifier_config, make_checkpoint
from outcomes import error_of
from tiny_net import FLAGS

pytestmark = pytest.mark.usefixtures("tiny_net")


def test_init_starts_from_the_averaged_weights(train_imagenet: Callable[..., Any], trained_run: Path) -> None:
    from mnasnet_cli.checkpoints.files import newest_checkpoint
    from mnasnet_cli.checkpoints.reader import read_checkpoint

    trainer = begin_training(lambda: train_imagenet(f"--init={trained_run}")).trainer
    before = read_checkpoint(newest_checkpoint(trained_run)).weights
    for start in (trainer.model.weights, trainer.average.weights):
        assert start.keys() == before.keys()
        assert all((start[name].numpy() == before[name]).all() for name in before)


def test_init_with_other_classes_gets_a_new_head(
    train_imagenet: Callable[..., Any], trained_run: Path, shape_records: Path, tmp_path: Path
) -> None:
    from mnasnet_cli.checkpoints.files import newest_checkpoint
    from mnasnet_cli.checkpoints.reader import read_checkpoint

    other = Path(shutil.copytree(shape_records, tmp_path / "other"))
    (other / "labels.txt").write_text((other / "labels.txt").read_text().replace("n90000004", "n90000099"))
    trainer = begin_training(lambda: train_imagenet(f"--init={trained_run}", f"--data={other}")).trainer
    before, start = read_checkpoint(newest_checkpoint(trained_run)).weights, trainer.model.weights
    assert trainer.task.model_info()["labels"][-1] == "n90000099"
    stem, head = "Mnasnet/Conv/weights", "Mnasnet/Conv2d_1c_1x1/weights"
    assert (start[stem].numpy() == before[stem]).all()
    assert (start[head].numpy() == 0).all()


def test_the_net_is_that_of_the_model_it_starts_from(
    mnasnet: Callable[..., Any], shape_records: Path, trained_run: Path, tmp_path: Path
) -> None:
    flags = [flag for flag in FLAGS if not flag.startswith("--variant")]
    command = ["train-imagenet", *flags, f"--data={shape_records}", f"--run-dir={tmp_path}", f"--init={trained_run}"]
    trainer = begin_training(lambda: mnasnet(*command)).trainer
    assert trainer.config.model.variant == "tiny"  # quick says b1


@pytest.mark.slow
def test_a_run_that_ended_before_its_first_checkpoint_starts_from_init_again(
    train_imagenet: Callable[..., Any], trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mnasnet_cli.runs.directory import RunDirectory
    from mnasnet_cli.tasks.classification import ClassificationTask
    from mnasnet_cli.training.steps import TrainSteps

    seen = []
    original = ClassificationTask.initial_weights

    def initial_weights(task: ClassificationTask, source: str, *rest: Any) -> Any:
        seen.append(source)
        return original(task, source, *rest)

    monkeypatch.setattr(ClassificationTask, "initial_weights", initial_weights)

    def die(*args: Any) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainSteps, "__call__", die)
        close = RunDirectory.close  # a kill does not clean up
        patch.setattr(RunDirectory, "close", lambda self, keep: close(self, keep=True))
        with pytest.raises(Killed):
            train_imagenet(f"--init={trained_run}", "--epochs=1")
    assert train_imagenet("--epochs=1").code == 0
    assert seen == [str(trained_run)] * 2


def test_init_from_another_net_or_from_nothing_is_an_error(
    train_imagenet: Callable[..., Any], trained_run: Path, tmp_path: Path
) -> None:
    assert "holds tiny at width 1" in error_of(train_imagenet(f"--init={trained_run}", "--variant=small"))
    assert "tiny at width 2" in error_of(train_imagenet(f"--init={trained_run}", "--width=2"))
    assert "no model at" in error_of(train_imagenet(f"--init={tmp_path / 'nothing'}"))
    assert not (tmp_path / "run").exists()


def test_nothing_is_trained_from_an_artifact(train_imagenet: Callable[..., Any], tmp_path: Path) -> None:
    from mnasnet_cli.inference.model import load_model

    prefix = make_checkpoint(tmp_path / "made", classifier_config(), ["a", "b"])
    (tmp_path / "tflite").mkdir()
    (tmp_path / "tflite" / "model.tflite").touch()
    load_model(prefix).manifest("tflite").write(tmp_path / "tflite")
    for model in ("tflite", "tflite/model.tflite"):
        message = error_of(train_imagenet(f"--init={tmp_path / model}"))
        assert "(tflite)" in message
        assert message.endswith(prefix)
    assert not (tmp_path / "run").exists()
