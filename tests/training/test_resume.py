"""Exact resume: a run that was killed and resumed ends like an undisturbed run, bit for bit."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from killed_runs import assert_same, metrics, results, state, train_with_kills
from tiny_net import DETECTOR_FLAGS, FLAGS

pytestmark = pytest.mark.usefixtures("tiny_net")


@pytest.mark.parametrize(
    "moments",
    [
        # 6 steps per epoch: after the second one and its evaluation, which wrote metrics and the best weights.
        pytest.param([("save", 2)], marks=pytest.mark.variation),
        # In the second epoch, between two steps; then after the evaluation of that epoch.
        pytest.param([("steps", 9), ("save", 1)], marks=pytest.mark.variation),
        # In the first epoch, before anything is saved; then before an evaluation, then before a save.
        pytest.param([("steps", 3), ("evaluation", 2), ("save", 2)], marks=pytest.mark.variation),
    ],
)
def test_ends_anywhere_in_an_epoch_and_goes_on(
    mnasnet: Callable[..., Any],
    shape_records: Path,
    trained_run: Path,
    tmp_path: Path,
    moments: list[tuple[str, int]],
) -> None:
    run = tmp_path / "run"
    command = ["train-imagenet", *FLAGS, f"--data={shape_records}", f"--run-dir={run}"]
    train_with_kills(mnasnet, command, moments)
    assert_same(run, trained_run)


@pytest.mark.slow
def test_staged_finetuning_goes_on_too(
    mnasnet: Callable[..., Any], shape_records: Path, trained_run: Path, tmp_path: Path
) -> None:
    staged = ["--freeze=layer_2", "--set=finetune.freeze_epochs=1", "--set=finetune.layer_decay=0.8"]
    staged += ["--set=finetune.recalibrate_batches=2", f"--init={trained_run}", "--epochs=2"]
    whole, run = tmp_path / "whole", tmp_path / "run"
    command = ["train-imagenet", *FLAGS, f"--data={shape_records}", *staged]
    assert mnasnet(*command, f"--run-dir={whole}").code == 0
    # In the frozen epoch; after its evaluation, which changed statistics that were not saved; after the release.
    moments = (("steps", 3), ("save", 1), ("steps", 9), ("save", 1))
    train_with_kills(mnasnet, [*command, f"--run-dir={run}"], moments)
    assert_same(run, whole)


@pytest.mark.slow
def test_a_detector_goes_on_before_and_after_its_augmentation_ends(
    mnasnet: Callable[..., Any], scene_records: Path, tmp_path: Path
) -> None:
    command = ["train-coco", *DETECTOR_FLAGS, "--config=anchor-free", f"--data={scene_records}", "--epochs=3"]
    command += ["--set=detection.mosaic=0.5", "--set=detection.mixup=0.5", "--set=detection.plain_epochs=2"]
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert mnasnet(*command, f"--run-dir={whole}").code == 0
    # After the epoch with augmentation, and in the last one, which has none.
    train_with_kills(mnasnet, [*command, f"--run-dir={run}"], (("save", 2), ("evaluation", 2)))
    assert_same(run, whole)


@pytest.mark.slow
def test_steps_and_logs_do_not_depend_on_how_calls_are_grouped(
    mnasnet: Callable[..., Any], shape_records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mnasnet_cli.training import loop

    monkeypatch.setattr(loop, "LOGS_PER_EPOCH", 2)
    for name, seconds in (("one at a time", 0.0), ("many at a time", 1e9)):
        monkeypatch.setattr(loop, "CALL_SECONDS", seconds)
        command = ["train-imagenet", *FLAGS, f"--data={shape_records}", f"--run-dir={tmp_path / name}", "--epochs=1"]
        outcome = mnasnet(*command)
        assert outcome.code == 0, outcome.err
    assert_same(tmp_path / "one at a time", tmp_path / "many at a time")


def one_step_at_a_time(patch: pytest.MonkeyPatch) -> None:
    """Lets a training make one step per call, and write one line of metrics per epoch."""
    from mnasnet_cli.training import loop

    patch.setattr(loop, "LOGS_PER_EPOCH", 1)
    patch.setattr(loop, "CALL_SECONDS", 0.0)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)]
)
def test_a_signal_saves_and_the_run_goes_on_and_after_a_kill_too(
    mnasnet: Callable[..., Any],
    shape_records: Path,
    trained_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    code: int,
) -> None:
    from mnasnet_cli.training.steps import TrainSteps

    one_step_at_a_time(monkeypatch)  # the stop is between two lines of metrics
    stopped = tmp_path / "stopped"
    command = ["train-imagenet", *FLAGS, f"--data={shape_records}"]
    original, calls = TrainSteps.__call__, [0]

    def call(self: Any, *args: Any) -> Any:
        result = original(self, *args)
        calls[0] += 1
        if calls[0] == 2:  # the loop notices it in the third call
            os.kill(os.getpid(), number)
            time.sleep(0.1)
        return result

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(TrainSteps, "__call__", call)
            outcome = mnasnet(*command, f"--run-dir={stopped}")
    finally:
        signal.signal(signal.SIGINT, before)
    assert outcome.code == code, outcome.err
    assert "step 3" in outcome.err.splitlines()[-1]
    # Killed after the second epoch and its evaluation, which wrote metrics and the best weights.
    train_with_kills(mnasnet, [*command, f"--run-dir={stopped}"], [("save", 2)])
    assert state(stopped) == state(trained_run)
    assert results(stopped) == results(trained_run)
    scores = [[line for line in metrics(run) if line["split"] == "validation"] for run in (stopped, trained_run)]
    assert scores[0] == scores[1]
    losses = [line["loss"] for line in metrics(trained_run) if line["split"] == "train"]  # one line a step
    means = [math.fsum(losses[first : first + 6]) / 6 for first in (0, 6, 12)]
    assert [line["loss"] for line in metrics(stopped) if line["split"] == "train"] == means


def start(run: Path, records: Path, *more: str) -> subprocess.Popen[str]:
    program = Path(__file__).parent.parent / "tiny_net.py"
    command = [sys.executable, str(program), "train-imagenet", *FLAGS, "--epochs=20", f"--data={records}"]
    # Checkpoints within epochs too, as often as possible.
    often = ["--set=training.checkpoint_minutes=0.0001", "--set=training.eval_every_epochs=5"]
    return subprocess.Popen([*command, f"--run-dir={run}", *often, *more], stderr=subprocess.PIPE, text=True)


def wait_for_step(process: subprocess.Popen[str], run: Path, step: int) -> None:
    """Returns once the metrics have reached a step."""
    file = run / "metrics.jsonl"
    while process.poll() is None:
        lines = file.read_text().splitlines() if file.exists() else []
        if lines and lines[-1].endswith("}") and json.loads(lines[-1])["step"] >= step:
            return
        time.sleep(0.01)


@pytest.mark.slow
def test_killed_five_times_at_random_moments(shape_records: Path, tmp_path: Path) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    process = start(undisturbed, shape_records)
    _, err = process.communicate()
    assert process.returncode == 0, err
    seed = random.randrange(10**6)
    moments = random.Random(seed)
    for step in sorted(moments.sample(range(1, 100), 5)):  # of 120
        process = start(killed, shape_records)
        wait_for_step(process, killed, step)
        time.sleep(moments.uniform(0.0, 0.05))  # into the next step, a save or an evaluation
        process.kill()
        _, err = process.communicate()
        assert process.returncode == -signal.SIGKILL, f"seed {seed}: {err}"
        print(f"killed at {metrics(killed)[-1]}, meant {step}")
    process = start(killed, shape_records)
    _, err = process.communicate()
    assert process.returncode == 0, f"seed {seed}: {err}"
    assert_same(killed, undisturbed)
