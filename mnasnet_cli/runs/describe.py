"""The description of a run directory for `mnasnet inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mnasnet_cli.checkpoints.describe import describe_checkpoint
from mnasnet_cli.checkpoints.files import BEST_FOLDER, CHECKPOINT_FOLDER, list_checkpoints, newest_checkpoint
from mnasnet_cli.runs.run_files import MetricsLine, read_config, read_metrics, read_results


def describe_run(run_dir: Path) -> dict[str, Any]:
    """Return configuration, progress, last metrics, checkpoints and results of a run."""
    metrics = read_metrics(run_dir)
    found: dict[str, Any] = {
        "what": "run",
        "kind": "run",
        "path": str(run_dir),
        "config": read_config(run_dir),
        "checkpoints": list_checkpoints(run_dir / CHECKPOINT_FOLDER),
        "best": next(iter(list_checkpoints(run_dir / BEST_FOLDER)), None),
        "last": {split: _last(metrics, split) for split in ("train", "validation")},
        "results": read_results(run_dir),
    }
    if found["checkpoints"]:
        found["model"] = describe_checkpoint(newest_checkpoint(run_dir))
    return found


def _last(metrics: list[MetricsLine], split: str) -> MetricsLine | None:
    return next((line for line in reversed(metrics) if line["split"] == split), None)
