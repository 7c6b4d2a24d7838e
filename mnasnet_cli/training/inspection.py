"""What a run directory or a checkpoint holds, for `mnasnet inspect`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mnasnet_cli.training.checkpoints import (
    BEST_FOLDER,
    CHECKPOINT_FOLDER,
    list_checkpoints,
    newest_checkpoint,
    read_checkpoint,
)
from mnasnet_cli.training.run_directory import RESULTS_FILE, read_config, read_metrics
from mnasnet_cli.training.saved import config_of


def describe_run(run_dir: Path) -> dict[str, Any]:
    """Configuration, progress, last metrics, checkpoints and results of a run."""
    metrics = read_metrics(run_dir)
    results = run_dir / RESULTS_FILE
    found: dict[str, Any] = {
        "what": "run",
        "kind": "run",
        "path": str(run_dir),
        "config": read_config(run_dir),
        "checkpoints": list_checkpoints(run_dir / CHECKPOINT_FOLDER),
        "best": next(iter(list_checkpoints(run_dir / BEST_FOLDER)), None),
        "last": {split: _last(metrics, split) for split in ("train", "validation")},
        "results": json.loads(results.read_text(encoding="utf-8")) if results.is_file() else None,
    }
    if found["checkpoints"]:
        found["model"] = describe_checkpoint(newest_checkpoint(run_dir))
    return found


def describe_checkpoint(prefix: str) -> dict[str, Any]:
    """Net, step, classes, preprocessing and variables of a checkpoint; `detection` is None for classifiers."""
    plain, averaged = read_checkpoint(prefix, ema=False), read_checkpoint(prefix)
    info = plain.info
    detection = config_of(plain).detection
    return {
        "what": "checkpoint",
        "kind": "checkpoint",
        "path": prefix,
        "step": plain.step,
        "task": info["task"],
        "variant": info["variant"],
        "width": info["width"],
        "classes": len(info["labels"]),
        "labels": info["labels"],
        "net": info.get("net") or {},
        "detection": detection.net_sizes() if detection else None,
        "preprocessing": info["preprocessing"],
        "source": info.get("source"),
        "averaged_weights": averaged.averaged,
        "values": sum(value.size for value in plain.weights.values()),
        "variables": {name: list(value.shape) for name, value in sorted(plain.weights.items())},
    }


def _last(metrics: list[dict[str, Any]], split: str) -> dict[str, Any] | None:
    return next((line for line in reversed(metrics) if line["split"] == split), None)
