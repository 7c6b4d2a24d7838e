"""`mnasnet train-imagenet`: what a run holds and says, and how it goes on."""

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
from PIL import Image
from tiny_net import FLAGS

pytestmark = pytest.mark.usefixtures("tiny_net")


def test_a_run_holds_all_that_the_contract_promises(trained_run: Path) -> None:
    names = {path.name for path in trained_run.iterdir()}
    promised = {
        "config.yaml", "environment.json", "metrics.jsonl", "train.log", "curves.png", "results.json", "time.json",
        "evaluation.json", "card.html", "card.md",
    }  # fmt: skip
    assert promised | {"checkpoints", "best", "events", ".lock"} == names
    assert {path.name for path in (trained_run / "events").iterdir() if path.is_dir()} == {"train", "validation"}
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
    with Image.open(trained_run / "curves.png") as curves:
        assert curves.width > curves.height > 300


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param(["--precision=bfloat16", "--set=training.batch_parts=2"], marks=pytest.mark.variation),
        pytest.param(
            [
                "--image-size=64",
                "--epochs=2",
                "--set=data.progressive=[[0, 0.5], [0.5, 1]]",
                "--set=training.ema_decay=0",
            ],
            marks=pytest.mark.slow,
        ),
        pytest.param(
            [
                "--set=data.augment.rand_augment_layers=2",
                "--set=data.augment.cutmix=1",
                "--set=data.augment.erasing=0.5",
            ],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_options_train_and_json_is_one_object(
    train_imagenet: Callable[..., Any], tmp_path: Path, flags: list[str]
) -> None:
    outcome = train_imagenet("--epochs=1", *flags, "--json")
    assert outcome.code == 0, outcome.err
    assert len(outcome.out.splitlines()) == 1
    assert outcome.json["run_dir"] == str(tmp_path / "run")
    assert {"top1", "top5", "loss", "examples", "steps", "seconds"} <= outcome.json.keys()
    assert outcome.json["loss"] is not None


def test_the_bare_command_goes_on_and_a_whole_run_stays_as_it_is(
    mnasnet: Callable[..., Any], shape_records: Path, trained_run: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(trained_run, tmp_path / "run"))
    before = (run / "metrics.jsonl").read_text()
    outcome = mnasnet("train-imagenet", f"--data={shape_records}", f"--run-dir={run}", "--json")
    assert outcome.code == 0, outcome.err
    assert "from step 18 of 18" in outcome.err
    assert (run / "metrics.jsonl").read_text() == before
    assert outcome.json["top1"] == json.loads((trained_run / "results.json").read_text())["top1"]


@pytest.mark.slow
def test_fresh_moves_the_old_run_aside(train_imagenet: Callable[..., Any], trained_run: Path, tmp_path: Path) -> None:
    shutil.copytree(trained_run, tmp_path / "run")
    outcome = train_imagenet("--fresh", "--epochs=1")
    assert outcome.code == 0, outcome.err
    [aside] = tmp_path.glob("run-*")
    assert (aside / "results.json").exists()
    assert json.loads((tmp_path / "run" / "results.json").read_text())["epochs"] == 1


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
    begun = ("net: ", "recipe: ", "images: ", "steps: ", "device: ")
    for line in done.stderr.splitlines():
        assert line.startswith(("train: ", "evaluate: ", "epoch ", *begun)) or line.endswith(" …"), done.stderr
    process = subprocess.Popen([*command, "--epochs=500", "--fresh"], stderr=subprocess.PIPE, text=True)
    settings = tmp_path / "run" / "config.yaml"  # of the run before, until --fresh has moved that aside
    while not (settings.exists() and "epochs: 500" in settings.read_text()) and process.poll() is None:
        time.sleep(0.1)
    # A second process on the same folder, also one that would move it aside.
    for flag in ("--epochs=500", "--fresh"):
        second = subprocess.run([*command, flag], capture_output=True, text=True)
        assert second.returncode == 2
        assert "another process is training into" in second.stderr
        assert len([line for line in second.stderr.splitlines() if not line.endswith(" …")]) == 1
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    assert "is saved, start again to go on" in err.splitlines()[-1]
    assert "Traceback" not in err
