"""How an image becomes a net's input, and how a detector's raw outputs become boxes.

Both types are stored as they are in checkpoints and manifests.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mnasnet_cli.config.task_names import TaskName


@dataclass(frozen=True)
class Preprocessing:
    """How evaluation, prediction and export turn an image into the net's input [S, S, 3] float32.

    Crop the image, resize the crop to S × S (its aspect ratio is not kept), subtract `mean` from R, G, B in [0, 255],
    and divide by `deviation`. The fields but `image_size` are keys of the section `data` of a configuration.
    """

    image_size: int
    """S, px."""
    crop_fraction: float | None = 0.875
    """Side of the central square over the image's short side; None: the whole image, as detectors see it."""
    antialias: bool = False
    """Whether to smooth an image before it is sampled down."""
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    """Of R, G, B; the default is ImageNet's."""
    deviation: tuple[float, float, float] = (58.395, 57.12, 57.375)
    """Standard deviation of R, G, B; the default is ImageNet's."""
    interpolation: str = "bilinear"
    """See `config.schema.Interpolation`."""
    stretch: bool = False
    """Crop that fraction of both sides instead of a square, as TF-Slim does."""
    decode: str = "accurate"
    """See `config.schema.Decode`."""

    @classmethod
    def parse(cls, tree: Mapping[str, Any], task: TaskName) -> Preprocessing:
        """Read what a checkpoint or a manifest holds.

        Keys of later versions are ignored. Older versions left out keys: those take their defaults.
        """
        values = _known_fields(cls, tree)
        if task == "detection":
            values["crop_fraction"] = None
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON holds them."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in dataclasses.asdict(self).items()}


@dataclass(frozen=True)
class Postprocessing:
    """How a detector's raw outputs become boxes: decode, clip, suppress (`modules.postprocessing.select_boxes`).

    The raw outputs are `class_logits` [N, A, K] and `box_deltas` [N, A, 4] for the A anchors that `anchors` describes.
    Anchors are ordered by level from the finest, then by row, column, aspect ratio and scale.
    """

    inside: bool
    """Whether the artifact contains these steps; otherwise its outputs are the raw ones."""
    category_ids: tuple[int, ...]
    """The data set's category id of each class 1..K."""
    candidates: int
    """(anchor, class) pairs of each level that enter the suppression."""
    nms_iou: float
    """A box that overlaps a better one of its class by more is dropped."""
    score_threshold: float
    """Boxes with lower scores are dropped."""
    max_detections: int
    """M, boxes of an image."""
    anchors: Mapping[str, Any]
    """The arguments of `geometry.anchors.level_anchors`."""
    code_scales: tuple[float, float, float, float]
    """Deltas are divided by these before they are decoded: ty, tx, th, tw."""

    @classmethod
    def parse(cls, tree: Mapping[str, Any]) -> Postprocessing:
        """Read what a manifest holds; keys of later versions are ignored."""
        return cls(**_known_fields(cls, tree))


def _known_fields(kind: type[Any], tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a dataclass's fields; JSON's lists become tuples."""
    names = {field.name for field in dataclasses.fields(kind)}
    return {name: tuple(v) if isinstance(v, list) else v for name, v in tree.items() if name in names}
