"""What a detector starts from: another detector, or the backbone of a classifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mnasnet_cli.config.detection import DetectionConfig
from mnasnet_cli.console import warn
from mnasnet_cli.errors import CheckpointError
from mnasnet_cli.nets.detector_spec import BACKBONE_SCOPE, HEADS_SCOPE, PYRAMID_SCOPE
from mnasnet_cli.nets.detector_table import detector_variable_shapes
from mnasnet_cli.nets.spec import get_spec

CLASS_PREDICTOR = f"{HEADS_SCOPE}/ClassPredictor/"
_CLASSIFIER_SCOPE = "Mnasnet"


def detector_start(
    source: str, info: Mapping[str, Any], weights: Mapping[str, np.ndarray], wanted: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """Weights for the detector `wanted` (its `model_info`), by its names.

    From a classifier those of the backbone; from a detector all, without the class predictor where the classes are
    others. `info` and `weights` are those of the checkpoint, which errors call `source`.

    Raises:
      CheckpointError: the nets differ.
    """
    backbone = get_spec(wanted["variant"], wanted["width"], wanted.get("net"))
    ours = DetectionConfig(**wanted["detection"]).spec
    shapes = detector_variable_shapes(backbone, ours, len(wanted["labels"]))
    for key in ("mean", "deviation"):
        used = list(info["preprocessing"][key])
        if used != wanted["preprocessing"][key]:
            warn(f"{source} was trained with {key} {used} of the pixels; --set data.{key}='{used}' fits it")
    if info["task"] == "classification":
        inside = f"{BACKBONE_SCOPE}/"
        needed = [name for name in shapes if name.startswith(inside) and not name.startswith(f"{PYRAMID_SCOPE}/")]
        found = {name: f"{_CLASSIFIER_SCOPE}/{name.removeprefix(inside)}" for name in needed}
    else:
        theirs = DetectionConfig(**info["detection"]).spec
        if theirs != ours:
            sizes = [
                f"{it.name}, {it.channels} channels, depth {it.depth}, kernel {it.kernel}" for it in (theirs, ours)
            ]
            raise CheckpointError(f"{source} holds another detector ({sizes[0]}) than the run is for ({sizes[1]})")
        same = info["labels"] == wanted["labels"]
        found = {name: name for name in shapes if same or not name.startswith(CLASS_PREDICTOR)}
    faults = [name for name in found.values() if name not in weights]
    faults += [name for own, name in found.items() if name in weights and weights[name].shape != shapes[own]]
    if faults:
        raise CheckpointError(
            f"{source} lacks weights of the net, or has others in their place: {', '.join(faults[:5])}"
        )
    return {own: weights[name] for own, name in found.items()}
