"""Training on records without a validation split, and what follows it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from begun_training import begin_training
from outcomes import last_error_of
from tiny_net import DETECTOR_FLAGS, FLAGS

pytestmark = pytest.mark.usefixtures("tiny_net")


def test_a_classifier(
    mnasnet: Callable[..., Any],
    shape_records: Path,
    trained_run: Path,
    without_validation: Callable[[Path], Path],
    tmp_path: Path,
) -> None:
    records, run = without_validation(shape_records), tmp_path / "run"
    command = ["train-imagenet", *FLAGS, f"--data={records}", f"--run-dir={run}", "--json"]
    outcome = mnasnet(*command)
    assert outcome.code == 0, outcome.err
    warnings = [line for line in outcome.err.splitlines() if line.startswith("warning")]
    assert len(warnings) == 1
    assert "train-only has no validation images: training measures no top1" in warnings[0]
    results = json.loads((run / "results.json").read_text())
    assert (results["steps"], results["top1"], results["best_top1"]) == (18, None, None)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines]
    usual = [json.loads(line) for line in (trained_run / "metrics.jsonl").read_text().splitlines()]
    assert losses == [line["loss"] for line in usual if line["split"] == "train"]  # the same training
    assert {line["split"] for line in lines} == {"train"}
    assert (run / "curves.png").is_file()
    assert "epoch 3/3 training loss" in (run / "train.log").read_text()

    again = mnasnet(*command)
    assert again.json == json.loads((run / "results.json").read_text()) | {"run_dir": str(run)}
    assert mnasnet("inspect", run, "--json").json["last"]["validation"] is None
    message = last_error_of(mnasnet("eval", "--imagenet-val", run, f"--data={records}"))
    assert "train-only has no validation images; evaluate on others with --split train (96 images)" in message
    flags = ["--best", "--split=train", "--json"]
    assert mnasnet("eval", "--imagenet-val", run, f"--data={records}", *flags).json["examples"] == 96

    shutil.rmtree(run / "checkpoints")
    assert begin_training(lambda: mnasnet(*command)).step == 0  # from the start again: it is not a finished run


@pytest.mark.variation
def test_a_detector(
    mnasnet: Callable[..., Any], scene_records: Path, without_validation: Callable[[Path], Path], tmp_path: Path
) -> None:
    records, run = without_validation(scene_records), tmp_path / "run"
    outcome = mnasnet("train-coco", *DETECTOR_FLAGS, "--epochs=1", f"--data={records}", f"--run-dir={run}", "--json")
    assert outcome.code == 0, outcome.err
    assert (outcome.json["AP"], outcome.json["best_AP"]) == (None, None)
    assert "training measures no AP" in outcome.err
    found = tmp_path / "found.json"
    score = mnasnet("eval", "--coco-val", run, f"--data={records}", "--split=train", f"--detections={found}", "--json")
    assert score.code == 0, score.err
    assert score.json["split"] == "train"
    ids = {row["image_id"] for row in json.loads(found.read_text())}
    assert len(ids) <= score.json["images"]
