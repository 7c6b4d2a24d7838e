"""The section `detection`: a detector's pyramid and heads, anchor matching, losses and suppression."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mnasnet_cli.config.fields import Fraction, NonNegative, Pair, Positive, Section
from mnasnet_cli.nets.detector_spec import DetectorSpec, get_detector

_CLASSIFIER_KEYS = (
    "model.dropout",
    "data.augment.rand_augment_layers",
    "data.augment.erasing",
    "data.augment.mixup",
    "data.augment.cutmix",
    "data.crop_fraction",
    "data.stretch",
    "data.class_weights",
    "training.label_smoothing",
    "training.teacher_weight",
    "training.teacher_temperature",
    "training.teacher_input",
)

# Keys of this section that override a field of the family's DetectorSpec, and the field's name.
_SPEC_FIELDS = {
    "channels": "channels",
    "depth": "depth",
    "kernel": "kernel",
    "pyramid_norm": "fpn_norm",
    "pyramid_activation": "fpn_activation",
}


class DetectionConfig(Section):
    """A detector's pyramid and heads, anchor matching, losses, augmentation and suppression."""

    family: Literal["retinanet", "lite"] = "retinanet"
    """Family of pyramid and heads: `retinanet` has full convolutions and is meant for 640-pixel images; `lite` has
    depthwise-separable convolutions and is meant for 320-pixel images, phones and CPUs."""
    channels: Annotated[int, Field(ge=8)] | None = None
    """Channels of the pyramid and the heads; null: the family's own (`retinanet` 256, `lite` 128)."""
    depth: Annotated[int, Field(ge=0, le=8)] | None = None
    """Number of convolutions in each head before its predictor; null: the family's own (`retinanet` 4, `lite` 1)."""
    kernel: Annotated[int, Field(ge=3, le=7)] | None = None
    """Kernel size of the heads' convolutions, an odd number; null: the family's own (`retinanet` 3, `lite` 5)."""
    pyramid_norm: bool | None = None
    """Whether the pyramid's convolutions have batch norm (true) or a bias (false); null: the family's own (true)."""
    pyramid_activation: Literal["relu", "relu6"] | None = None
    """Activation after the pyramid's convolutions; null: the family's own (`relu6`)."""
    assign: Literal["iou", "atss"] = "iou"
    """Matching of anchors to boxes: by IoU thresholds, or by ATSS (Zhang et al., arXiv 1912.02424)."""
    positive_iou: Fraction = 0.5
    """`iou`: an anchor with at least this IoU is matched to the box."""
    negative_iou: Fraction = 0.5
    """`iou`: an anchor below this IoU is background; between the two thresholds it is ignored."""
    box_loss: Literal["huber", "giou", "ciou"] = "huber"
    """Regression loss of the boxes."""
    box_weight: NonNegative = 1.0
    """Weight of the box loss in the total; the focal loss has weight 1."""
    huber_threshold: Positive = 1.0
    """`huber`: the error at which the loss turns from quadratic to linear, in units of the encoded box deltas."""
    focal_alpha: Fraction = 0.25
    """Focal loss: weight of the positive class; the negative class has 1 - alpha."""
    focal_gamma: NonNegative = 2.0
    """Focal loss: exponent that reduces the weight of easy examples."""
    min_covered: Fraction = 0.1
    """Smallest fraction of a box that a random crop must contain, for at least one box."""
    min_visible: Fraction = 0.25
    """A box of which a crop contains a smaller fraction is ignored: neither object nor background."""
    scale_jitter: Pair = (1.0, 1.0)
    """Scale jitter: smallest and largest factor by which an image is enlarged or shrunk; the free area is gray."""
    mosaic: Fraction = 0.0
    """Mosaic: probability that an image is combined with three others, one in each corner."""
    nms_iou: Fraction = 0.6
    """Non-maximum suppression: a box is dropped if its IoU with a better box of its class is larger."""
    score_threshold: Fraction = 1e-8
    """Boxes with a lower score are dropped; a low threshold gives a higher AP."""
    candidates: Annotated[int, Field(ge=1)] = 1000
    """Number of (anchor, class) pairs per pyramid level that enter non-maximum suppression."""
    max_detections: Annotated[int, Field(ge=1, le=1000)] = 100
    """Largest number of boxes per image; COCO's evaluation counts 100."""

    @model_validator(mode="after")
    def _check_ranges(self) -> DetectionConfig:
        if self.negative_iou > self.positive_iou:
            raise ValueError(f"negative_iou {self.negative_iou:g} must not exceed positive_iou {self.positive_iou:g}")
        if self.kernel is not None and self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, got {self.kernel}")
        low, high = self.scale_jitter
        if not 0.1 <= low <= high <= 10.0:
            raise ValueError(f"scale_jitter {[low, high]} must be two numbers in [0.1, 10], the smaller first")
        return self

    @property
    def spec(self) -> DetectorSpec:
        """The pyramid and heads that are built on the backbone."""
        given = {field: getattr(self, name) for name, field in _SPEC_FIELDS.items()}
        changes: dict[str, Any] = {field: value for field, value in given.items() if value is not None}
        return dataclasses.replace(get_detector(self.family), **changes)

    def with_net(self) -> DetectionConfig:
        """Return a copy with the family's values in place of null.

        A checkpoint stores it, so that its net stays the same where a later version changes the family.
        """
        return self.model_copy(update=self._spec_values())

    def net_sizes(self) -> dict[str, Any]:
        """Return the family and the values of its net: channels, depth, kernel, pyramid_norm and pyramid_activation."""
        return {"family": self.family, **self._spec_values()}

    def _spec_values(self) -> dict[str, Any]:
        return {name: getattr(self.spec, field) for name, field in _SPEC_FIELDS.items()}


def check_for_detection(tree: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Raise a ValueError if a key that only classifiers have differs from its default; both are nested mappings."""
    for key in _CLASSIFIER_KEYS:
        value, default = _value_at(tree, key), _value_at(defaults, key)
        if value != default:
            raise ValueError(f"{key} is {value!r}, but detectors don't use it; remove it")


def _value_at(tree: Any, key: str) -> Any:
    for part in key.split("."):
        tree = tree[part]
    return tree
