"""The description of a checkpoint for `mnasnet inspect`."""

from __future__ import annotations

from typing import Any

from mnasnet_cli.checkpoints.reader import read_checkpoint
from mnasnet_cli.checkpoints.restoring import net_config
from mnasnet_cli.config.task_names import DATASETS


def describe_checkpoint(prefix: str) -> dict[str, Any]:
    """Return net, step, classes, preprocessing and variables of a checkpoint; `detection` is None for classifiers."""
    plain, averaged = read_checkpoint(prefix, ema=False), read_checkpoint(prefix)
    info = plain.info
    detection = net_config(plain).detection
    return {
        "what": "checkpoint",
        "kind": "checkpoint",
        "path": prefix,
        "step": plain.step,
        "task": DATASETS[plain.task],
        "variant": info["variant"],
        "width": info["width"],
        "table": info.get("table"),
        "classes": len(info["labels"]),
        "labels": info["labels"],
        "net": info.get("net") or {},
        "detection": detection.net_sizes() if detection else None,
        "preprocessing": plain.preprocessing.to_dict(),
        "source": info.get("source"),
        "teacher": info.get("teacher"),
        "averaged_weights": averaged.averaged,
        "values": sum(value.size for value in plain.weights.values()),
        "variables": {name: list(value.shape) for name, value in sorted(plain.weights.items())},
    }
