"""What a checkpoint stores about its net: task, variant, classes, preprocessing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mnasnet_cli.config.schema import Config


def model_info(
    config: Config, labels: Sequence[str], names: Sequence[str], preprocessing: dict[str, Any]
) -> dict[str, Any]:
    """What the checkpoints of any net say of it; `preprocessing` is what only nets of its kind have besides."""
    data = config.data
    return {
        "task": config.task,
        "variant": config.model.variant,
        "width": config.model.width,
        "net": config.model.net.overrides,
        "labels": list(labels),
        "names": list(names),
        "preprocessing": {
            "image_size": config.eval_size,
            **preprocessing,
            "interpolation": data.interpolation,
            "antialias": data.antialias,
            "mean": list(data.mean),
            "deviation": list(data.deviation),
        },
    }


def classifier_info(config: Config, labels: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """What the checkpoints of a classifier say of it; see `Task.model_info`."""
    data = config.data
    return model_info(config, labels, names, {"crop_fraction": data.crop_fraction, "stretch": data.stretch})


def detector_info(config: Config, labels: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """What the checkpoints of a detector say of it; see `Task.model_info`."""
    assert config.detection is not None
    return {**model_info(config, labels, names, {}), "detection": config.detection.with_net().model_dump(mode="json")}
