"""`mnasnet train-coco` on a tiny net: what a run holds, how it goes on, and what it starts from."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from killed_runs import kill, metrics
from outcomes import AP_NUMBERS, last_error_of
from tiny_net import DETECTOR_FLAGS

pytestmark = pytest.mark.usefixtures("tiny_net")


def test_a_run_has_what_a_classifiers_has(detector_run: Path) -> None:
    results = json.loads((detector_run / "results.json").read_text())
    assert (results["task"], results["steps"], results["images"]) == ("coco", 6, 6)
    assert [row["name"] for row in results["per_class"]] == ["circle", "square", "triangle"]
    assert [line["epoch"] for line in metrics(detector_run) if "AP" in line] == [1.0, 2.0]
    assert all("loss" in line for line in metrics(detector_run))
    for name in ("config.yaml", "environment.json", "train.log", "curves.png", "best", "checkpoints", "events"):
        assert (detector_run / name).exists(), name


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_and_ends_the_same(
    mnasnet: Callable[..., Any], scene_records: Path, detector_run: Path, tmp_path: Path
) -> None:
    command = ["train-coco", *DETECTOR_FLAGS, f"--data={scene_records}", f"--run-dir={tmp_path / 'run'}"]
    kill(mnasnet, command, "evaluation", 2)
    outcome = mnasnet(*command, "--json")
    assert outcome.code == 0, outcome.err
    assert "from step 3 of 6" in outcome.err
    assert "from scratch" not in outcome.err
    assert metrics(tmp_path / "run") == metrics(detector_run)
    undisturbed = json.loads((detector_run / "results.json").read_text())
    assert {key: outcome.json[key] for key in AP_NUMBERS} == {key: undisturbed[key] for key in AP_NUMBERS}


def start(run: Path, records: Path) -> subprocess.Popen[str]:
    program = Path(__file__).parent.parent / "tiny_net.py"
    often = "--set=training.checkpoint_minutes=0.0001"  # checkpoints between the epochs' ends, too
    command = [sys.executable, program, "train-coco", *DETECTOR_FLAGS, "--epochs=12", f"--data={records}", often]
    return subprocess.Popen(
        [*command, f"--run-dir={run}", "--set=detection.mosaic=0.5"], stderr=subprocess.PIPE, text=True
    )


def last_step(run: Path) -> int:
    file = run / "metrics.jsonl"
    found = file.read_text().splitlines() if file.exists() else []
    return int(json.loads(found[-1])["step"]) if found and found[-1].endswith("}") else 0


@pytest.mark.slow
def test_killed_twice_with_sigkill_it_ends_the_same(scene_records: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for run, step in ((whole, None), (killed, 8), (killed, 23), (killed, None)):  # of 36 steps
        process = start(run, scene_records)
        while step and process.poll() is None and last_step(run) < step:
            time.sleep(0.01)
        if step:
            process.kill()
        _, err = process.communicate()
        assert process.returncode == (-signal.SIGKILL if step else 0), err
    assert "from step" in (killed / "train.log").read_text()
    assert metrics(killed) == metrics(whole)
    from mnasnet_cli.checkpoints.files import newest_checkpoint
    from mnasnet_cli.checkpoints.reader import read_checkpoint

    ours, theirs = (read_checkpoint(newest_checkpoint(run)).weights for run in (killed, whole))
    assert [name for name in theirs if (ours[name] != theirs[name]).any()] == []


@pytest.mark.slow
def test_a_classifier_is_what_a_detector_starts_from(
    mnasnet: Callable[..., Any], shape_records: Path, scene_records: Path, tmp_path: Path
) -> None:
    classifier, detector = tmp_path / "classifier", tmp_path / "detector"
    flags = ("--config=quick", "--variant=tiny-backbone", "--image-size=32", "--batch-size=16", "--epochs=1")
    outcome = mnasnet("train-imagenet", *flags, f"--data={shape_records}", f"--run-dir={classifier}")
    assert outcome.code == 0, outcome.err
    outcome = mnasnet(
        "train-coco", *DETECTOR_FLAGS, f"--data={scene_records}", f"--run-dir={detector}", f"--backbone={classifier}",
        "--epochs=1", "--set=optimizer.learning_rate_per_256=0", "--set=optimizer.weight_decay=0",
        "--set=finetune.freeze_norm=true",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "from scratch" not in outcome.err
    from mnasnet_cli.checkpoints.files import newest_checkpoint
    from mnasnet_cli.checkpoints.reader import read_checkpoint

    ours, theirs = (read_checkpoint(newest_checkpoint(run)).weights for run in (detector, classifier))
    for name in ("Mnasnet/Conv/weights", "Mnasnet/Conv/BatchNorm/moving_variance"):
        assert ours[f"FeatureExtractor/{name}"] == pytest.approx(theirs[name], rel=1e-5)


def test_a_backbone_of_another_net_and_two_starts_are_errors(
    mnasnet: Callable[..., Any], scene_records: Path, trained_run: Path, detector_run: Path, tmp_path: Path
) -> None:
    command = ["train-coco", *DETECTOR_FLAGS, f"--data={scene_records}", f"--run-dir={tmp_path / 'run'}"]
    assert "holds tiny at width 1" in last_error_of(mnasnet(*command, f"--backbone={trained_run}"))
    both = last_error_of(mnasnet(*command, "--backbone=a", "--init=b"))
    assert "--backbone" in both
    assert "--init" in both
    assert "data.augment.mixup" in last_error_of(mnasnet(*command, "--set=data.augment.mixup=0.2"))
    assert "16 channels" in last_error_of(mnasnet(*command, "--set=detection.channels=16", f"--init={detector_run}"))
    assert not (tmp_path / "run").exists()
