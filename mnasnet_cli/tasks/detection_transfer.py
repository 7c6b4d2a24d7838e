"""The initial weights of a detector: those of another detector, or of a classifier for its backbone."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from mnasnet_cli.config.detection import DetectionConfig
from mnasnet_cli.config.net_table import stored_net
from mnasnet_cli.console import warn
from mnasnet_cli.errors import CheckpointError
from mnasnet_cli.nets.detector_spec import BACKBONE_SCOPE, HEADS_SCOPE, PYRAMID_SCOPE, DetectorSpec
from mnasnet_cli.nets.detector_table import detector_variable_shapes

CLASS_PREDICTOR = f"{HEADS_SCOPE}/ClassPredictor/"
_CLASSIFIER_SCOPE = "Mnasnet"


def detector_start(
    source: str, info: Mapping[str, Any], weights: Mapping[str, np.ndarray], wanted: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """Return initial weights for the detector `wanted` (its `model_info`), by its variable names.

    A classifier provides the backbone. A detector provides all weights, but not the class predictor if the classes
    differ. `info` and `weights` come from the checkpoint; `source` is its name in messages.

    Raises:
      CheckpointError: the nets differ.
    """
    backbone = stored_net(wanted)
    ours = DetectionConfig(**wanted["detection"]).spec
    shapes = detector_variable_shapes(backbone, ours, len(wanted["labels"]))
    for key in ("mean", "deviation"):
        used = list(info["preprocessing"][key])
        if used != wanted["preprocessing"][key]:
            warn(f"{source} was trained with data.{key} {used}; use the same with --set data.{key}='{used}'")
    if info["task"] == "classification":
        inside = f"{BACKBONE_SCOPE}/"
        needed = [name for name in shapes if name.startswith(inside) and not name.startswith(f"{PYRAMID_SCOPE}/")]
        found = {name: f"{_CLASSIFIER_SCOPE}/{name.removeprefix(inside)}" for name in needed}
    else:
        theirs = DetectionConfig(**info["detection"]).spec
        if theirs != ours:
            sizes = _differences(theirs, ours)
            raise CheckpointError(
                f"{source} holds a different detector ({sizes[0]}) than this run ({sizes[1]}); choose the recipe and "
                "the detection.* settings of that detector, or start from a classifier with --backbone"
            )
        same = info["labels"] == wanted["labels"]
        found = {name: name for name in shapes if same or not name.startswith(CLASS_PREDICTOR)}
    faults = [name for name in found.values() if name not in weights]
    faults += [name for own, name in found.items() if name in weights and weights[name].shape != shapes[own]]
    if faults:
        raise CheckpointError(f"{source} lacks weights of the net, or they have other shapes: {', '.join(faults[:5])}")
    return {own: weights[name] for own, name in found.items()}


def _differences(theirs: DetectorSpec, ours: DetectorSpec) -> tuple[str, str]:
    """Return two nets in words: family, channels, depth and kernel, and what else differs."""
    told = ("name", "channels", "depth", "kernel")
    others = [field.name for field in dataclasses.fields(ours) if field.name not in told]
    also = [name for name in others if theirs.name == ours.name and getattr(theirs, name) != getattr(ours, name)]

    def words(spec: DetectorSpec) -> str:
        rest = "".join(f", {name} {getattr(spec, name)}" for name in also)
        return f"{spec.name}, {spec.channels} channels, depth {spec.depth}, kernel {spec.kernel}{rest}"

    return words(theirs), words(ours)
