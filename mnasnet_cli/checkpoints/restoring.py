"""Restores a net from a checkpoint alone: its configuration and its weights."""

from __future__ import annotations

from mnasnet_cli.checkpoints.reader import CheckpointContents
from mnasnet_cli.config.loading import validate
from mnasnet_cli.config.schema import Config
from mnasnet_cli.errors import CheckpointError
from mnasnet_cli.modules.slim_module import SlimModule

# Training settings that the section "detection" of older checkpoints may hold. They have moved to other sections.
_MOVED = ("freeze_backbone_norm",)


def net_config(contents: CheckpointContents) -> Config:
    """Return the configuration of a checkpoint's net: task, model, and a detector's settings."""
    info = contents.info
    detection = info.get("detection")
    if detection:
        detection = {name: value for name, value in detection.items() if name not in _MOVED}
    tree = {
        "task": info["task"],
        "model": {
            "variant": info["variant"],
            "width": info["width"],
            "net": info.get("net") or {},
            "table": info.get("table"),
        },
        "data": {"image_size": contents.preprocessing.image_size},
        "detection": detection,
    }
    return validate(tree, contents.prefix)


def load_weights(model: SlimModule, contents: CheckpointContents) -> None:
    """Put a checkpoint's weights into a module of the same net.

    Raises:
      CheckpointError: the weights do not fit; the message lists their names.
    """
    faults = [f"{name} is missing" for name in model.weights if name not in contents.weights]
    faults += [f"{name} is not in the net" for name in contents.weights if name not in model.weights]
    faults += [
        f"{name} has shape {contents.weights[name].shape}, expected {tuple(variable.shape)}"
        for name, variable in model.weights.items()
        if name in contents.weights and contents.weights[name].shape != tuple(variable.shape)
    ]
    if faults:
        more = f" and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise CheckpointError(f"{contents.prefix} does not fit the net: {'; '.join(faults[:5])}{more}")
    for name, variable in model.weights.items():
        variable.assign(contents.weights[name])
