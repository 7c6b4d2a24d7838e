"""`mnasnet train-imagenet` as its users meet it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from made_models import classifier_config, make_checkpoint
from tiny_net import FLAGS

pytestmark = pytest.mark.usefixtures("tiny_net")


@pytest.fixture
def train(mnasnet: Callable[..., Any], shape_records: Path, tmp_path: Path) -> Callable[..., Any]:
    def run(*more: str) -> Any:
        return mnasnet("train-imagenet", *FLAGS, f"--data={shape_records}", f"--run-dir={tmp_path / 'run'}", *more)

    return run


def error_of(outcome: Any) -> str:
    assert outcome.code == 2, outcome.err
    assert outcome.out == ""
    [line] = outcome.err.splitlines()
    assert line.startswith("error: ")
    return str(line)


def test_a_run_holds_all_that_the_contract_promises(trained_run: Path) -> None:
    names = {path.name for path in trained_run.iterdir()}
    promised = {"config.yaml", "environment.json", "metrics.jsonl", "train.log", "curves.png", "results.json"}
    assert promised | {"checkpoints", "best", "events", ".lock"} == names
    assert {path.name for path in (trained_run / "events").iterdir()} == {"train", "validation"}
    config = yaml.safe_load((trained_run / "config.yaml").read_text())
    assert config["training"]["epochs"] == 3
    lines = [json.loads(line) for line in (trained_run / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        keys = {"step", "epoch", "split", "loss", "learning_rate", "images_per_second"}
        keys |= {"top1", "top5"} if line["split"] == "validation" else set()
        assert keys <= line.keys()
    assert [line["epoch"] for line in lines if line["split"] == "validation"] == [1.0, 2.0, 3.0]
    results = json.loads((trained_run / "results.json").read_text())
    assert (results["steps"], results["examples"]) == (18, 20)
    assert results["best_top1"] == max(line["top1"] for line in lines if "top1" in line)


def test_the_bare_command_goes_on_and_a_whole_run_stays_as_it_is(
    mnasnet: Callable[..., Any], shape_records: Path, trained_run: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(trained_run, tmp_path / "run"))
    before = (run / "metrics.jsonl").read_text()
    outcome = mnasnet("train-imagenet", f"--data={shape_records}", f"--run-dir={run}", "--json")
    assert outcome.code == 0, outcome.err
    assert "going on from step 18 of 18" in outcome.err
    assert (run / "metrics.jsonl").read_text() == before
    assert outcome.json["top1"] == json.loads((trained_run / "results.json").read_text())["top1"]


def test_another_configuration_for_the_same_run_names_the_keys(
    mnasnet: Callable[..., Any], shape_records: Path, trained_run: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(trained_run, tmp_path / "run"))
    command = ("train-imagenet", f"--data={shape_records}", f"--run-dir={run}")
    error = error_of(mnasnet(*command, "--batch-size=8", "--set=optimizer.name=sgd"))
    assert "optimizer.name was 'muon' and is now 'sgd'; training.batch_size was 16 and is now 8" in error
    assert "--fresh" in error
    (run / "config.yaml").write_bytes(b"\xff\xfe")
    assert "config.yaml is damaged" in error_of(mnasnet(*command))


@pytest.mark.slow
def test_fresh_moves_the_old_run_aside(train: Callable[..., Any], trained_run: Path, tmp_path: Path) -> None:
    shutil.copytree(trained_run, tmp_path / "run")
    outcome = train("--fresh", "--epochs=1")
    assert outcome.code == 0, outcome.err
    [aside] = tmp_path.glob("run-*")
    assert (aside / "results.json").exists()
    assert json.loads((tmp_path / "run" / "results.json").read_text())["epochs"] == 1


def test_init_starts_from_the_averaged_weights(train: Callable[..., Any], trained_run: Path, tmp_path: Path) -> None:
    from mnasnet_cli.training.checkpoints import newest_checkpoint, read_checkpoint

    # With a learning rate of 0 the weights stay where they began.
    outcome = train(f"--init={trained_run}", "--epochs=1", "--set=optimizer.learning_rate_per_256=0")
    assert outcome.code == 0, outcome.err
    before = read_checkpoint(newest_checkpoint(trained_run))
    after = read_checkpoint(newest_checkpoint(tmp_path / "run"), ema=False)
    trained = [name for name in after.weights if "moving_" not in name]
    assert all((after.weights[name] == before.weights[name]).all() for name in trained)


def test_init_with_other_classes_gets_a_new_head(
    train: Callable[..., Any], trained_run: Path, shape_records: Path, tmp_path: Path
) -> None:
    from mnasnet_cli.training.checkpoints import newest_checkpoint, read_checkpoint

    other = Path(shutil.copytree(shape_records, tmp_path / "other"))
    (other / "labels.txt").write_text((other / "labels.txt").read_text().replace("n90000004", "n90000099"))
    flags = ("--epochs=1", "--set=optimizer.learning_rate_per_256=0", f"--data={other}")
    outcome = train(f"--init={trained_run}", *flags)
    assert outcome.code == 0, outcome.err
    before = read_checkpoint(newest_checkpoint(trained_run))
    after = read_checkpoint(newest_checkpoint(tmp_path / "run"), ema=False)
    assert after.info["labels"][-1] == "n90000099"
    stem, head = "Mnasnet/Conv/weights", "Mnasnet/Conv2d_1c_1x1/weights"
    assert (after.weights[stem] == before.weights[stem]).all()
    assert (after.weights[head] == 0).all()


def test_nothing_is_trained_from_an_artifact(train: Callable[..., Any], tmp_path: Path) -> None:
    from mnasnet_cli.artifacts.loaded import load_model

    prefix = make_checkpoint(tmp_path / "made", classifier_config(), ["a", "b"])
    (tmp_path / "tflite").mkdir()
    (tmp_path / "tflite" / "model.tflite").touch()
    load_model(prefix).manifest("tflite").write(tmp_path / "tflite")
    for model in ("tflite", "tflite/model.tflite"):
        message = error_of(train(f"--init={tmp_path / model}"))
        assert message.endswith(f"is an exported artifact (tflite); start from what it was made of, {prefix}")
    assert not (tmp_path / "run").exists()


def test_a_run_that_ended_before_its_first_checkpoint_starts_from_init_again(
    train: Callable[..., Any], trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mnasnet_cli.training import loop, run

    seen = []
    original = run._initial_weights
    monkeypatch.setattr(run, "_initial_weights", lambda task, init: (seen.append(init), original(task, init))[1])

    class Killed(BaseException):
        pass

    def die(*args: Any) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.Trainer, "_call", die)
        patch.setattr(run.RunDirectory, "close", lambda self, keep: self._lock.close())  # a kill doesn't tidy up
        with pytest.raises(Killed):
            train(f"--init={trained_run}", "--epochs=1")
    assert train("--epochs=1").code == 0
    assert seen == [str(trained_run)] * 2


def test_init_from_another_net_or_from_nothing_is_an_error(
    train: Callable[..., Any], trained_run: Path, tmp_path: Path
) -> None:
    assert "holds tiny at width 1, but the run is for small" in error_of(
        train(f"--init={trained_run}", "--variant=small")
    )
    assert "the run is for tiny at width 2" in error_of(train(f"--init={trained_run}", "--width=2"))
    assert "no model at" in error_of(train(f"--init={tmp_path / 'nothing'}"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--variant=b7"],
            "unknown variant 'b7' (known: a1, b1, small, d1, a1-2019, b1-2019",
        ),
        (["--set=training.epoch=3"], "unknown key 'training.epoch'; did you mean 'training.epochs'?"),
        (["--set=training.eval_batch_size=x"], "should be a valid integer, found 'x'"),
        (["--config=nonsense"], "no configuration is called 'nonsense'"),
        (["--image-size=7"], "--image-size"),
        (["--image-size=big"], "--image-size"),
        (["--precision=float16"], "training.precision: must be 'float32' or 'bfloat16'"),
        (["--batch-size=0"], "--batch-size"),
        (["--epochs=0"], "--epochs"),
        (["--width=-1"], "--width must be a positive number"),
        (["--seed=99999999999"], "training.seed: should be less than 2147483648"),
        (["--dat=x"], "--dat"),
        (["--set=training.accumulate_steps=3"], "batch_size 16 is not a multiple of accumulate_steps 3"),
    ],
)
def test_bad_flags_are_one_line_and_leave_nothing(
    train: Callable[..., Any], tmp_path: Path, flags: list[str], message: str
) -> None:
    assert message in error_of(train(*flags))
    assert not (tmp_path / "run").exists()


def test_a_place_that_cannot_hold_a_run_is_an_error(train: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "is a file, but a run needs a folder" in error_of(train(f"--run-dir={tmp_path / 'file'}"))
    assert "not a directory" in error_of(train(f"--run-dir={tmp_path / 'file' / 'run'}"))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "flags",
    [
        ["--precision=bfloat16"],
        pytest.param(
            [
                "--image-size=64",
                "--epochs=2",
                "--set=data.progressive=[[0, 0.5], [0.5, 1]]",
                "--set=training.ema_decay=0",
            ],
            marks=pytest.mark.slow,
        ),
        ["--set=data.augment.rand_augment_layers=2", "--set=data.augment.cutmix=1", "--set=data.augment.erasing=0.5"],
    ],
)
def test_options_train_and_json_is_one_object(train: Callable[..., Any], tmp_path: Path, flags: list[str]) -> None:
    outcome = train("--epochs=1", *flags, "--json")
    assert outcome.code == 0, outcome.err
    assert len(outcome.out.splitlines()) == 1
    assert outcome.json["run_dir"] == str(tmp_path / "run")
    assert {"top1", "top5", "loss", "examples", "steps", "seconds"} <= outcome.json.keys()
    assert outcome.json["loss"] is not None


@pytest.mark.slow
def test_from_outside_standard_error_holds_progress_only_and_sigterm_saves(shape_records: Path, tmp_path: Path) -> None:
    program = str(Path(__file__).parent.parent / "tiny_net.py")
    command = [
        sys.executable,
        program,
        "train-imagenet",
        *FLAGS,
        f"--data={shape_records}",
        f"--run-dir={tmp_path}/run",
    ]
    done = subprocess.run([*command, "--epochs=1", "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] == 6
    assert all(line.startswith(("train: ", "evaluate: ", "epoch ")) for line in done.stderr.splitlines()), done.stderr
    process = subprocess.Popen([*command, "--epochs=500", "--fresh"], stderr=subprocess.PIPE, text=True)
    settings = tmp_path / "run" / "config.yaml"  # of the run before, until --fresh has moved that aside
    while not (settings.exists() and "epochs: 500" in settings.read_text()) and process.poll() is None:
        time.sleep(0.1)
    # A second process on the same folder, also one that would move it aside.
    for flag in ("--epochs=500", "--fresh"):
        second = subprocess.run([*command, flag], capture_output=True, text=True)
        assert second.returncode == 2
        assert "another process is training into" in second.stderr
        assert len(second.stderr.splitlines()) == 1
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    assert "is saved, start again to go on" in err.splitlines()[-1]
    assert "Traceback" not in err


def test_the_net_is_that_of_the_model_it_starts_from(
    mnasnet: Callable[..., Any], shape_records: Path, trained_run: Path, tmp_path: Path
) -> None:
    flags = [flag for flag in FLAGS if not flag.startswith("--variant")]
    outcome = mnasnet(
        "train-imagenet",
        *flags,
        f"--data={shape_records}",
        f"--run-dir={tmp_path}",
        f"--init={trained_run}",
        "--epochs=1",
    )
    assert outcome.code == 0, outcome.err  # quick says b1
    assert json.loads((tmp_path / "results.json").read_text())["variant"] == "tiny"
