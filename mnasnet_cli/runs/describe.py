"""The description of a run directory for `mnasnet inspect`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mnasnet_cli.checkpoints.describe import describe_checkpoint
from mnasnet_cli.checkpoints.files import BEST_FOLDER, CHECKPOINT_FOLDER, list_checkpoints, newest_checkpoint
from mnasnet_cli.runs.directory import RESULTS_FILE, read_config, read_metrics


def describe_run(run_dir: Path) -> dict[str, Any]:
    """Return configuration, progress, last metrics, checkpoints and results of a run."""
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


def _last(metrics: list[dict[str, Any]], split: str) -> dict[str, Any] | None:
    return next((line for line in reversed(metrics) if line["split"] == split), None)
