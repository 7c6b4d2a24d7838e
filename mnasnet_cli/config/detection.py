"""The section `detection`: a detector's net, matching, losses and suppression."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mnasnet_cli.config.fields import Fraction, Pair, Positive, Rate, Section
from mnasnet_cli.nets.detector_spec import DetectorSpec, get_detector

# Settings of the classifier that a detector has no use for.
_NOT_FOR_DETECTORS = (
    "model.dropout",
    "data.augment.rand_augment_layers",
    "data.augment.erasing",
    "data.augment.mixup",
    "data.augment.cutmix",
    "data.crop_fraction",
    "data.stretch",
    "training.label_smoothing",
)

_NET_FIELDS = {
    "channels": "channels",
    "depth": "depth",
    "kernel": "kernel",
    "pyramid_norm": "fpn_norm",
    "pyramid_activation": "fpn_activation",
}  # by the names of the configuration, what of a DetectorSpec it can change


class DetectionConfig(Section):
    """What a detector has besides its backbone, and how it learns."""

    family: Literal["retinanet", "lite"] = "retinanet"
    """retinanet: full convolutions, made for 640 px. lite: depthwise-separable ones, for 320 px, phones and CPUs."""
    channels: Annotated[int, Field(ge=8)] | None = None
    """Of the pyramid and the subnets; the family's own where null (256, lite 128)."""
    depth: Annotated[int, Field(ge=0, le=8)] | None = None
    """Convolutions in a subnet before its predictor; the family's own where null (4, lite 1)."""
    kernel: Annotated[int, Field(ge=3, le=7)] | None = None
    """Size of the subnets' convolutions, an odd number; the family's own where null (3, lite 5)."""
    pyramid_norm: bool | None = None
    """Whether the pyramid's convolutions have batch norm, or a bias; the family's own where null (batch norm)."""
    pyramid_activation: Literal["relu", "relu6"] | None = None
    """After the pyramid's convolutions; the family's own where null (relu6)."""
    assign: Literal["iou", "atss"] = "iou"
    """Which anchors learn a box: those over an overlap, or ATSS (Zhang et al., arXiv 1912.02424)."""
    positive_iou: Fraction = 0.5
    """iou: from this overlap on an anchor learns the box."""
    negative_iou: Fraction = 0.5
    """iou: below this overlap it is background; in between it learns nothing."""
    box_loss: Literal["huber", "giou", "ciou"] = "huber"
    box_weight: Rate = 1.0
    """Weight of the box loss beside the focal loss."""
    huber_threshold: Positive = 1.0
    """Where Huber turns from square to linear, in units of the box coder (its deltas have a spread near 1)."""
    focal_alpha: Fraction = 0.25
    focal_gamma: Rate = 2.0
    min_covered: Fraction = 0.1
    """A random crop shows at least so much of one box."""
    min_visible: Fraction = 0.25
    """A box of which a crop shows less is neither an object nor background: nothing is learnt there."""
    scale_jitter: Pair = (1.0, 1.0)
    """The image is shown larger or smaller by a factor between these two; what then lies beyond it is gray."""
    mosaic: Fraction = 0.0
    """Share of the images that are shown together with three others of their batch, each in a corner."""
    nms_iou: Fraction = 0.6
    """A box that overlaps a better one of its class by more is dropped."""
    score_threshold: Fraction = 1e-8
    """Boxes with lower scores are dropped. AP gains from every box."""
    candidates: Annotated[int, Field(ge=1)] = 1000
    """(anchor, class) pairs of a level that enter the suppression."""
    max_detections: Annotated[int, Field(ge=1, le=1000)] = 100
    """Boxes an image; COCO's numbers count 100."""

    @model_validator(mode="after")
    def _ranges(self) -> DetectionConfig:
        if self.negative_iou > self.positive_iou:
            raise ValueError(f"negative_iou {self.negative_iou:g} must not exceed positive_iou {self.positive_iou:g}")
        if self.kernel is not None and self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, got {self.kernel}")
        low, high = self.scale_jitter
        if not 0.1 <= low <= high <= 10.0:
            raise ValueError(f"scale_jitter {[low, high]} must be two rising numbers in 0.1 to 10")
        return self

    @property
    def spec(self) -> DetectorSpec:
        """The net that is built on the backbone."""
        given = {field: getattr(self, name) for name, field in _NET_FIELDS.items()}
        changes: dict[str, Any] = {field: value for field, value in given.items() if value is not None}
        return dataclasses.replace(get_detector(self.family), **changes)

    def with_net(self) -> DetectionConfig:
        """The same with every size of the net written out: a family's sizes may change, a checkpoint's net may not."""
        return self.model_copy(update=self._sizes())

    def net_sizes(self) -> dict[str, Any]:
        """The family, and every size of the net: channels, depth, kernel and so on."""
        return {"family": self.family, **self._sizes()}

    def _sizes(self) -> dict[str, Any]:
        return {name: getattr(self.spec, field) for name, field in _NET_FIELDS.items()}


def check_for_detection(tree: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Raises ValueError where a setting of the classifier's was changed; both are nested mappings."""
    for key in _NOT_FOR_DETECTORS:
        value, default = _at(tree, key), _at(defaults, key)
        if value != default:
            raise ValueError(f"{key} is not for detectors (it is {value!r}); leave it out")


def _at(tree: Any, key: str) -> Any:
    for part in key.split("."):
        tree = tree[part]
    return tree
