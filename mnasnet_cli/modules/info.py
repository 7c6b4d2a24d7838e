"""What a checkpoint stores about its net: task, variant, width, table, classes, preprocessing, detector settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mnasnet_cli.config.net_table import read_net
from mnasnet_cli.config.schema import Config
from mnasnet_cli.nets.detector_table import detector_multiply_adds, detector_parameters
from mnasnet_cli.nets.spec import block_specs, count_parameters, feature_taps, multiply_adds


def model_info(config: Config, labels: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """Return what a checkpoint stores about the net of a configuration.

    Args:
      labels: a classifier's class 0..C-1 (synset); a detector's category id of class 1..K, as text.
      names: the same classes in words.
    """
    info = {
        "task": config.task,
        "variant": config.model.variant,
        "width": config.model.width,
        "net": config.model.net.overrides,
        **({"table": config.model.table.model_dump(mode="json")} if config.model.table else {}),
        "labels": list(labels),
        "names": list(names),
        "preprocessing": config.preprocessing.to_dict(),
    }
    if config.detection is not None:
        info["detection"] = config.detection.with_net().model_dump(mode="json")
    return info


def describe_net(path: Path) -> dict[str, Any]:
    """Return cost and layers of the table of a net in a file; parameters are for 1,000 classes, sizes in px.

    Raises:
      ConfigError: the file is not a valid table.
    """
    table = read_net(path)
    spec = table.spec
    keys = ("layer", "kernel", "stride", "in_channels", "expanded_channels", "out_channels", "squeeze_channels",
            "has_skip", "out_size")  # fmt: skip
    return {
        "what": "net",
        "kind": "net",
        "path": str(path),
        "name": table.name,
        "digest": table.digest,
        "image_size": spec.image_size,
        "params": count_parameters(spec),
        "multiply_adds": multiply_adds(spec),
        "layers": [{key: getattr(block, key) for key in keys} for block in block_specs(spec)],
        "taps": {str(stride): layer for stride, layer in feature_taps(spec).items()},
        "table": table.model_dump(mode="json"),
    }


def net_cost(config: Config, size: int, classes: int) -> tuple[int, int]:
    """Return the number of parameters, and of multiply-adds for one image of size × size px."""
    spec = config.model.spec
    if config.detection is None:
        return count_parameters(spec, classes), multiply_adds(spec, size, classes)
    detector = config.detection.spec
    return detector_parameters(spec, detector, classes), detector_multiply_adds(spec, detector, classes, size)
