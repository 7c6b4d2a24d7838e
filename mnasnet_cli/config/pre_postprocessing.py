"""How an image becomes a net's input, and how a detector's raw outputs become boxes.

Both types are stored as they are in checkpoints and manifests.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

from mnasnet_cli.config.task_names import TaskName
from mnasnet_cli.system.documents import validate

Interpolation = Literal["bilinear", "bicubic", "tf1-bilinear"]
Decode = Literal["accurate", "fast"]

MAX_SIDE = 8192
"""Px of a net's input. At 4096, the largest that commands take, a classifier needs 8 GB."""
_Positive = Annotated[float, Field(gt=0)]


@dataclass(frozen=True)
class Preprocessing:
    """How evaluation, prediction and export turn an image into the net's input [S, S, 3] float32.

    Crop the image, resize the crop to S × S (its aspect ratio is not kept), subtract `mean` from R, G, B in [0, 255],
    and divide by `deviation`. The fields but `image_size` are keys of the section `data` of a configuration.
    """

    image_size: Annotated[int, Field(ge=1, le=MAX_SIDE)]
    """S, px."""
    crop_fraction: Annotated[float, Field(gt=0, le=1)] | None = 0.875
    """Side of the central square over the image's short side; None: the whole image, as detectors see it."""
    antialias: bool = False
    """Whether to smooth an image before it is sampled down."""
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    """Of R, G, B; the default is ImageNet's."""
    deviation: tuple[_Positive, _Positive, _Positive] = (58.395, 57.12, 57.375)
    """Standard deviation of R, G, B; the default is ImageNet's."""
    interpolation: Interpolation = "bilinear"
    stretch: bool = False
    """Crop that fraction of both sides instead of a square, as TF-Slim does."""
    decode: Decode = "accurate"

    @classmethod
    def parse(cls, tree: Any, task: TaskName) -> Preprocessing:
        """Read what a checkpoint or a manifest holds.

        Keys of later versions are ignored. Older versions left out keys: those take their defaults.

        Raises Unreadable.
        """
        found = validate(tree, cls, "the preprocessing")
        return dataclasses.replace(found, crop_fraction=None) if task == "detection" else found

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON holds them."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in dataclasses.asdict(self).items()}


class AnchorLayout(TypedDict):
    """The arguments of `geometry.anchors.level_anchors`."""

    min_level: Annotated[int, Field(ge=0, le=12)]
    max_level: Annotated[int, Field(ge=0, le=12)]
    aspect_ratios: list[_Positive]
    scales_per_octave: Annotated[int, Field(ge=1, le=16)]
    anchor_scale: _Positive


@dataclass(frozen=True)
class Postprocessing:
    """How a detector's raw outputs become boxes: decode, clip, suppress (`modules.postprocessing.select_boxes`).

    The raw outputs are `class_logits` [N, A, K] and `box_deltas` [N, A, 4] for the A anchors that `anchors` describes.
    Anchors are ordered by level from the finest, then by row, column, aspect ratio and scale. A detector without
    anchors has one at each position, a square as large as the level's stride.
    """

    inside: bool
    """Whether the artifact contains these steps; otherwise its outputs are the raw ones."""
    category_ids: tuple[int, ...]
    """The data set's category id of each class 1..K."""
    candidates: Annotated[int, Field(ge=1, le=1 << 20)]
    """(anchor, class) pairs of each level that enter the suppression."""
    nms_iou: Annotated[float, Field(ge=0, le=1)]
    """A box that overlaps a better one of its class by more is dropped."""
    score_threshold: float
    """Boxes with lower scores are dropped."""
    max_detections: Annotated[int, Field(ge=1, le=1 << 20)]
    """M, boxes of an image."""
    anchors: AnchorLayout
    """The arguments of `geometry.anchors.level_anchors`."""
    code_scales: tuple[_Positive, _Positive, _Positive, _Positive]
    """Deltas are divided by these before they are decoded: ty, tx, th, tw. Distances are not."""
    box_code: Literal["deltas", "distances", "log-distances"] = "deltas"
    """What `box_deltas` are: deltas from an anchor; or the distances of a box's sides (up, left, down, right) from the
    center of the anchor in units of its side; or their natural logarithms."""

    @classmethod
    def parse(cls, tree: Any) -> Postprocessing:
        """Read what a manifest holds; keys of later versions are ignored. Raises Unreadable."""
        return validate(tree, cls, "the postprocessing")
