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

# The same for keys that only detectors without anchors have.
_ANCHOR_FREE_FIELDS = {
    "pyramid_kernel": "fpn_kernel",
    "bottom_up": "bottom_up",
    "fusion": "fusion",
    "top_level": "max_level",
    "head_activation": "activation",
    "shared_tower": "shared_tower",
    "shared_levels": "shared_levels",
    "bins": "bins",
}

# What a family has in place of a key's default.
_FAMILY_DEFAULTS: dict[str, dict[str, Any]] = {
    "anchor-free": {
        "assign": "task-aligned",
        "class_loss": "quality-focal",
        "box_loss": "giou",
        "box_weight": 2.0,
    }
}

# Values that need anchors, and values that need none.
_WITH_ANCHORS = {"assign": ("iou", "atss"), "class_loss": ("focal",), "box_loss": ("huber", "giou", "ciou")}
_WITHOUT_ANCHORS = {
    "assign": ("task-aligned", "simota"),
    "class_loss": ("quality-focal", "varifocal"),
    "box_loss": ("giou", "ciou"),
}


class DetectionConfig(Section):
    """A detector's pyramid and heads, anchor matching, losses, augmentation and suppression."""

    family: Literal["retinanet", "lite", "anchor-free"] = "retinanet"
    """Family of pyramid and heads: `retinanet` has full convolutions and is meant for 640-pixel images; `lite` has
    depthwise-separable convolutions and is meant for 320-pixel images, phones and CPUs; `anchor-free` is like `lite`,
    with one box at each position in place of anchors and a pyramid with a path back up."""
    channels: Annotated[int, Field(ge=8)] | None = None
    """Channels of the pyramid and the heads; null: the family's own (`retinanet` 256, `lite` 128, `anchor-free` 96)."""
    depth: Annotated[int, Field(ge=0, le=8)] | None = None
    """Number of convolutions in each head before its predictor; null: the family's own (`retinanet` 4, `lite` 1,
    `anchor-free` 2)."""
    kernel: Annotated[int, Field(ge=3, le=7)] | None = None
    """Kernel size of the heads' convolutions, an odd number; null: the family's own (`retinanet` 3, the others 5)."""
    pyramid_norm: bool | None = None
    """Whether the pyramid's convolutions have batch norm (true) or a bias (false); null: the family's own (true)."""
    pyramid_activation: Literal["relu", "relu6", "hswish"] | None = None
    """Activation after the pyramid's convolutions; null: the family's own (`relu6`)."""
    pyramid_kernel: Annotated[int, Field(ge=3, le=7)] | None = None
    """`anchor-free`: kernel size of the pyramid's convolutions, an odd number; null: 5."""
    bottom_up: bool | None = None
    """`anchor-free`: whether a path back up follows the pyramid's path down (arXiv 1803.01534); null: true."""
    fusion: Literal["add", "concat"] | None = None
    """`anchor-free`: how a level of the pyramid joins the features of its neighbour: by their sum, or side by side, at
    more multiply-adds; null: `add`."""
    top_level: Annotated[int, Field(ge=5, le=7)] | None = None
    """`anchor-free`: the highest level of the pyramid, whose stride is 2 to this power; null: 5, a stride of 32."""
    head_activation: Literal["relu", "relu6", "hswish"] | None = None
    """`anchor-free`: activation in the heads; null: `relu6`."""
    shared_tower: bool | None = None
    """`anchor-free`: whether classes and boxes are predicted from the same convolutions; null: true."""
    shared_levels: bool | None = None
    """`anchor-free`: whether all levels share the kernels of the heads; null: true."""
    bins: Annotated[int, Field(ge=0, le=32)] | None = None
    """`anchor-free`: number of bins of the distance from a position to each side of its box, 0 to `bins` - 1 strides;
    0: the distance itself is predicted; null: 8."""
    assign: Literal["iou", "atss", "task-aligned", "simota"] = "iou"
    """Matching of anchors to boxes: by IoU thresholds, or by ATSS (Zhang et al., arXiv 1912.02424). `anchor-free`:
    matching of positions, by what the net predicts: `task-aligned` (Feng et al., arXiv 2108.07755), which this family
    has by default, or `simota` (Ge et al., arXiv 2107.08430, with the cost of RTMDet, arXiv 2212.07784)."""
    positive_iou: Fraction = 0.5
    """`iou`: an anchor with at least this IoU is matched to the box."""
    negative_iou: Fraction = 0.5
    """`iou`: an anchor below this IoU is background; between the two thresholds it is ignored."""
    match_candidates: Annotated[int, Field(ge=1, le=100)] = 13
    """`task-aligned`: number of positions that learn a box. `simota`: number of a box's best positions whose IoUs add
    up to the number of positions that learn it."""
    score_power: NonNegative = 1.0
    """`anchor-free`: exponent of the class score in the alignment, alpha in arXiv 2108.07755."""
    iou_power: NonNegative = 6.0
    """`anchor-free`: exponent of the IoU in the alignment, beta in that paper."""
    class_loss: Literal["focal", "quality-focal", "varifocal"] = "focal"
    """Loss of the classes. `anchor-free`, whose scores learn how well a box fits: `quality-focal` (Li et al., arXiv
    2006.04388), which this family has by default, or `varifocal` (Zhang et al., arXiv 2008.13367)."""
    quality: Literal["alignment", "iou"] = "alignment"
    """`anchor-free`: the score that a position learns, which is also its weight in the box loss: its alignment relative
    to the box's other positions (arXiv 2108.07755), or the IoU of its box."""
    box_loss: Literal["huber", "giou", "ciou"] = "huber"
    """Regression loss of the boxes; `anchor-free`: `giou` by default."""
    box_weight: NonNegative = 1.0
    """Weight of the box loss in the total; the focal loss has weight 1; `anchor-free`: 2 by default."""
    bins_weight: NonNegative = 0.25
    """`anchor-free`: weight of the distribution focal loss of the bins (Li et al., arXiv 2006.04388)."""
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
    mixup: Fraction = 0.0
    """Mixup: probability that an image is blended with another one, half and half, with the boxes of both."""
    hue_jitter: Annotated[float, Field(ge=0.0, le=0.5)] = 0.0
    """Shift the hue by up to this fraction of the colour circle; 0 turns it off."""
    plain_epochs: Annotated[int, Field(ge=0)] = 0
    """Number of last epochs in which images are only mirrored, not cropped, scaled, combined or recoloured."""
    nms_iou: Fraction = 0.6
    """Non-maximum suppression: a box is dropped if its IoU with a better box of its class is larger."""
    score_threshold: Fraction = 1e-8
    """Boxes with a lower score are dropped; a low threshold gives a higher AP."""
    candidates: Annotated[int, Field(ge=1)] = 1000
    """Number of (anchor, class) pairs per pyramid level that enter non-maximum suppression."""
    max_detections: Annotated[int, Field(ge=1, le=1000)] = 100
    """Largest number of boxes per image; COCO's evaluation counts 100."""

    @model_validator(mode="before")
    @classmethod
    def _add_family_defaults(cls, tree: Any) -> Any:
        family = tree.get("family") if isinstance(tree, dict) else None
        return {**_FAMILY_DEFAULTS[family], **tree} if family in _FAMILY_DEFAULTS else tree

    @model_validator(mode="after")
    def _check_family(self) -> DetectionConfig:
        free = self.family == "anchor-free"
        for key, allowed in (_WITHOUT_ANCHORS if free else _WITH_ANCHORS).items():
            value = getattr(self, key)
            if value not in allowed:
                raise ValueError(
                    f"{key} {value!r} is not for the family {self.family}; it takes {' or '.join(allowed)}"
                )
        if not free:
            for key in _ANCHOR_FREE_FIELDS:
                if getattr(self, key) is not None:
                    raise ValueError(f"{key} is for the family anchor-free, not {self.family}; remove it")
        return self

    @model_validator(mode="after")
    def _check_ranges(self) -> DetectionConfig:
        if self.negative_iou > self.positive_iou:
            raise ValueError(f"negative_iou {self.negative_iou:g} must not exceed positive_iou {self.positive_iou:g}")
        for key in ("kernel", "pyramid_kernel"):
            value = getattr(self, key)
            if value is not None and value % 2 == 0:
                raise ValueError(f"{key} must be odd, got {value}")
        if self.bins == 1:
            raise ValueError("bins must be 0 or at least 2, got 1")
        low, high = self.scale_jitter
        if not 0.1 <= low <= high <= 10.0:
            raise ValueError(f"scale_jitter {[low, high]} must be two numbers in [0.1, 10], the smaller first")
        return self

    @property
    def spec(self) -> DetectorSpec:
        """The pyramid and heads that are built on the backbone."""
        given = {field: getattr(self, name) for name, field in self._spec_fields.items()}
        changes: dict[str, Any] = {field: value for field, value in given.items() if value is not None}
        return dataclasses.replace(get_detector(self.family), **changes)

    def with_net(self) -> DetectionConfig:
        """Return a copy with the family's values in place of null.

        A checkpoint stores it, so that its net stays the same where a later version changes the family.
        """
        return self.model_copy(update=self._spec_values())

    def net_sizes(self) -> dict[str, Any]:
        """Return the family and the values of its net, such as channels, depth and kernel."""
        return {"family": self.family, **self._spec_values()}

    @property
    def _spec_fields(self) -> dict[str, str]:
        return _SPEC_FIELDS | (_ANCHOR_FREE_FIELDS if self.family == "anchor-free" else {})

    def _spec_values(self) -> dict[str, Any]:
        return {name: getattr(self.spec, field) for name, field in self._spec_fields.items()}


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
