"""What is read from a run directory, whole or not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mnasnet_cli.cards.facts import read_facts
from mnasnet_cli.config.loading import load_config
from mnasnet_cli.errors import CheckpointError, ConfigError


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of `quick` that stopped in its fourth epoch: no results, no checkpoint."""
    folder = tmp_path / "run"
    folder.mkdir()
    config = load_config("quick", flags={"training.epochs": 20, "optimizer.weight_decay": 0.25})
    (folder / "config.yaml").write_text(config.to_yaml())
    lines = [
        {"step": 10, "epoch": 1.0, "split": "validation", "top1": 0.5, "loss": 2.0, "seconds": 4.0},
        {"step": 20, "epoch": 2.0, "split": "validation", "top1": 0.4, "loss": 2.0, "seconds": 8.0},
        {"step": 31, "epoch": 3.1, "split": "train", "loss": 2.0, "seconds": 12.5},
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 3')
    write(folder, "environment.json", {"command": ["/x/mnasnet", "train-imagenet", "--config=quick"], "data": {}})
    return folder


def write(folder: Path, name: str, content: Any) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content))


def test_an_unfinished_run(run: Path) -> None:
    facts = read_facts(run)
    assert (facts.state, facts.final, facts.best, facts.epochs_done, facts.seconds) == (
        "unfinished",
        0.4,
        0.5,
        3.1,
        12.5,
    )
    assert facts.classes is None
    assert facts.cost == (None, None)
    assert "doesn't say" in facts.dataset_note


def test_the_recipe_and_what_differs(run: Path) -> None:
    name, changed = read_facts(run).recipe
    assert name == "quick"
    assert {key for key, _, _ in changed} == {"training.epochs", "optimizer.weight_decay"}
    (run / "environment.json").unlink()  # then the recipe that differs least is taken
    facts = read_facts(run)
    assert facts.recipe == (name, changed)
    assert facts.command == []


def test_classes_and_cost_come_from_the_first_file_that_tells_them(run: Path) -> None:
    (run / "export" / "tflite").mkdir(parents=True)
    (run / "export" / "tflite" / "model.tflite").write_bytes(b"12345")
    manifest = {"format": "tflite", "labels": ["a", "b", "c"], "files": ["model.tflite"]}
    write(run, "export/tflite/manifest.json", manifest)
    write(run, "export/other/manifest.json", ["no manifest"])
    facts = read_facts(run)
    assert [one["bytes"] for one in facts.exports] == [5]
    assert facts.classes == 3
    params, multiply_adds = facts.cost
    assert params is not None
    assert multiply_adds is not None
    rows = [{"class": 1, "name": "a"}]
    write(
        run,
        "results.json",
        {"per_class": rows * 1000, "top1": 0.6, "best_top1": 0.7, "stopped_early": True},
    )
    facts = read_facts(run)
    assert (facts.classes, facts.final, facts.best, facts.state) == (1000, 0.6, 0.7, "stopped early")
    assert facts.cost[0] == params + (1000 - 3) * 1281  # 1280 channels and a bias


def test_latencies(run: Path) -> None:
    row = {"name": "a", "batch_size": 1, "p50_ms": 3.5}
    write(
        run, "latency/latency.json", {"models": [row, {**row, "p50_ms": 2.5}, {**row, "batch_size": 8, "p50_ms": 1.0}]}
    )
    write(run, "latency.json", "damaged")
    assert read_facts(run).latency == 2.5


def test_records_of_the_training_only(run: Path, shape_records: Path) -> None:
    write(run, "environment.json", {"data": {"directory": str(shape_records), "fingerprint": "other"}})
    facts = read_facts(run)
    assert facts.dataset == {}
    assert "other records" in facts.dataset_note


@pytest.mark.parametrize("content", ["[1, 2", "[1]", '"text"', ""])
@pytest.mark.parametrize("name", ["results.json", "evaluation.json", "environment.json", "metrics.jsonl"])
def test_damaged_files_count_as_missing(run: Path, name: str, content: str) -> None:
    (run / name).write_text(content)
    facts = read_facts(run)
    assert facts.state == "unfinished"
    assert facts.evaluation is None


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is no run"):
        read_facts(tmp_path)
    (tmp_path / "config.yaml").write_text("model: {variant: z9}")
    with pytest.raises(ConfigError, match="unknown variant 'z9'"):
        read_facts(tmp_path)
