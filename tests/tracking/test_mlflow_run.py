"""MLflow: a run in its local store, what a resume adds to it, and servers that can't be reached."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mnasnet_cli.runs.directory import read_metrics

FLAGS = (
    "--config=quick", "--variant=tiny", "--image-size=32", "--batch-size=16", "--set=schedule.name=constant",
    "--set=model.zero_init_residual=false", "--set=training.track=mlflow",
)  # fmt: skip
needs_mlflow = pytest.mark.skipif(importlib.util.find_spec("mlflow") is None, reason="MLflow is not installed")


@pytest.fixture
def train(
    mnasnet: Callable, tiny_net: None, shape_records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'store.db'}")
    monkeypatch.chdir(tmp_path)  # MLflow puts the files beside its store
    return lambda *more: mnasnet(
        "train-imagenet", *FLAGS, f"--data={shape_records}", f"--run-dir={tmp_path / 'run'}", *more
    )


@needs_mlflow
def test_a_run_and_its_continuation_are_one_run(train: Callable[..., Any], tmp_path: Path) -> None:
    from mlflow import MlflowClient

    assert train("--epochs=1").code == 0
    result = train("--epochs=2", "--json")
    assert result.code == 0, result.err
    client = MlflowClient()
    experiment = client.get_experiment_by_name("mnasnet")
    assert experiment is not None
    [run] = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "run"
    assert run.data.params["training.batch_size"] == "16"
    assert run.data.tags["variant"] == "tiny"
    assert run.data.metrics["final/best_top1"] == result.json["best_top1"]
    sent = [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, "validation/top1")]
    lines = read_metrics(tmp_path / "run")
    assert sent == [(line["step"], line["top1"]) for line in lines if "top1" in line]
    losses = [metric.step for metric in client.get_metric_history(run.info.run_id, "train/loss")]
    assert losses == [line["step"] for line in lines if line["split"] == "train"]
    names = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    assert names >= {"config.yaml", "results.json", "card.html", "card.md", "metrics.jsonl", "curves.png"}


@needs_mlflow
def test_a_store_that_fails_later_is_one_warning(
    train: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    def fail(*_: object, **__: object) -> None:
        raise ConnectionError("the server is gone")

    monkeypatch.setattr(MlflowClient, "log_batch", fail)
    result = train("--epochs=2")
    assert result.code == 0, result.err
    assert result.err.count("MLflow can't be reached (the server is gone); the training goes on") == 1
    assert json.loads((tmp_path / "run/mlflow.json").read_text())["sent"] == -1


@needs_mlflow
def test_a_server_that_can_not_be_reached_is_refused_at_the_start(
    train: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    result = train()
    assert result.code == 2
    assert "MLflow can't be used" in result.lines[-1]
    assert "check MLFLOW_TRACKING_URI" in result.lines[-1]
    assert not (tmp_path / "run").exists()


def test_a_missing_package_is_one_line(
    train: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(importlib.metadata, "requires", lambda project: ['mlflow>=3; extra == "mlflow"'])
    result = train()
    assert result.code == 2
    assert "training.track=mlflow needs MLflow; install it with `pip install" in result.lines[-1]
    assert not (tmp_path / "run").exists()
