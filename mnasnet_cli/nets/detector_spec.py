"""The pyramids and heads of detectors as typed data, without TensorFlow. ``detector_table`` counts their cost.

A detector has two tables: a ``NetSpec`` for the backbone, and a ``DetectorSpec`` for the pyramid and the heads.
Sources: RetinaNet (arXiv 1708.02002), feature pyramids (arXiv 1612.03144), and the TF Object Detection API. Names,
shapes and the order of outputs are those of the API, so that its checkpoints fit. Detectors without anchors follow
PANet (arXiv 1803.01534), GFL (arXiv 2006.04388), PicoDet (arXiv 2111.00902) and RTMDet (arXiv 2212.07784).

Symbols: *level* l has the stride 2**l; A anchors over all levels, K classes.
"""

from __future__ import annotations

import dataclasses
import difflib
import math

from .architecture import NetSpec, check_fields, feature_taps

BACKBONE_SCOPE = "FeatureExtractor/Mnasnet"
PYRAMID_SCOPE = f"{BACKBONE_SCOPE}/fpn"
HEADS_SCOPE = "WeightSharedConvolutionalBoxPredictor"
BOX_SIZE = 4  # numbers that describe a box
START_DISTANCE = 3.5  # strides: what eight bins give that are equally likely


@dataclasses.dataclass(frozen=True)
class DetectorSpec:
    """A detector on a backbone: a pyramid of features, and subnets on its levels.

    Attributes:
      channels: of every pyramid level and every layer of the subnets.
      depth: number of convolutions in a subnet before its predictor.
      kernel: size of the convolutions of subnets and predictors, in pixels of the level.
      fpn_kernel: size of the pyramid's convolutions (always 3 in the API).
      separable: depthwise and 1x1 convolutions instead of full ones, with nothing in between, as the API's
        ``use_depthwise`` builds them; projections stay 1x1.
      shared_tower: one subnet predicts both classes and boxes, instead of one each.
      predictor_kernel: size of the predictors' convolutions; 0 is that of ``kernel``.
      shared_levels: the levels share the kernels of subnets and predictors.
      activation: "relu", "relu6" or "hswish", in the subnets.
      fpn_activation: the same for the pyramid's convolutions; projections are linear.
      fpn_norm: the pyramid's convolutions have batch norm instead of a bias.
      bottom_up: a path back up follows the pyramid's path down (``anchor_free`` only).
      fusion: how a level joins the features of its neighbour: "add" or "concat" (``anchor_free`` only).
      min_level, max_level: of the pyramid. Levels above the backbone's are computed from the level below.
      anchor_free: a position predicts one box, by the distances of its sides.
      bins: number of bins of each distance, whose mean it is; 0 predicts the distance itself, as its logarithm.
      anchors: number per position, which is aspect ratios times scales; 1 without anchors.
      prior: probability in (0, 1) of every class in an untrained net.
      stddev: of the normal distribution of initial kernels. 0.0 uses the backbone's initializer, which keeps the
        scale of a depthwise kernel with its few inputs, and 0.01 for the predictors.
      background_slot: the class predictor has an unused output before those of the classes, as in the API.
      image_size: height and width in pixels that the sizes were chosen for.
    """

    name: str
    channels: int = 256
    depth: int = 4
    kernel: int = 3
    fpn_kernel: int = 3
    separable: bool = False
    shared_tower: bool = False
    predictor_kernel: int = 0
    shared_levels: bool = True
    activation: str = "relu6"
    fpn_activation: str = "relu6"
    fpn_norm: bool = True
    bottom_up: bool = False
    fusion: str = "add"
    min_level: int = 3
    max_level: int = 7
    anchor_free: bool = False
    bins: int = 0
    anchors: int = 6
    prior: float = 0.01
    stddev: float = 0.01
    background_slot: bool = False
    image_size: int = 640

    def __post_init__(self) -> None:
        check_fields(self)
        if min(self.channels, self.anchors, self.image_size) < 1 or self.depth < 0:
            raise ValueError(f"channels, anchors and image_size start at 1 and depth at 0: {self}")
        smallest = 3 if self.separable else 1
        if min(self.kernel, self.fpn_kernel) < smallest or not self.kernel % 2 == self.fpn_kernel % 2 == 1:
            raise ValueError(f"kernels must be odd, and from 3 on where they are separable: {self}")
        if self.predictor_kernel < 0 or (self.predictor_kernel and self.predictor_kernel % 2 == 0):
            raise ValueError(f"predictor_kernel must be 0 or odd, got {self.predictor_kernel}")
        if not 1 <= self.min_level <= self.max_level:
            raise ValueError(f"1 <= min_level <= max_level must hold, got {self.min_level} and {self.max_level}")
        if not 0.0 < self.prior < 1.0 or not 0.0 <= self.stddev < math.inf:
            raise ValueError(f"prior must lie in (0, 1) and stddev start at 0: {self}")
        self._check_anchor_free()

    def _check_anchor_free(self) -> None:
        if self.anchor_free:
            if self.anchors != 1 or self.background_slot:
                raise ValueError(f"without anchors, a position has one box and no background: {self}")
            if self.bins < 0 or self.bins == 1:
                raise ValueError(f"bins must be 0 or at least 2, got {self.bins}")
        elif self.bins or self.bottom_up or self.fusion != "add" or not self.shared_levels:
            raise ValueError(f"bins, bottom_up, fusion and shared_levels are for detectors without anchors: {self}")

    @property
    def levels(self) -> range:
        return range(self.min_level, self.max_level + 1)

    @property
    def class_bias(self) -> float:
        """The logit of ``prior``: -4.595 for 0.01; the API's configurations have -4.6."""
        return -math.log((1.0 - self.prior) / self.prior)

    @property
    def predictor_size(self) -> int:
        """The kernel size of the predictors."""
        return self.predictor_kernel or self.kernel

    @property
    def box_code(self) -> str:
        """What ``box_deltas`` are: "deltas" from an anchor, "distances" of the sides in strides, or "log-distances"."""
        if not self.anchor_free:
            return "deltas"
        return "distances" if self.bins else "log-distances"

    @property
    def box_outputs(self) -> int:
        """The number of outputs of the box predictor per anchor."""
        return BOX_SIZE * max(self.bins, 1)

    @property
    def box_bias(self) -> float:
        """The initial bias of the box predictor. Boxes without anchors start with sides of seven strides."""
        return math.log(START_DISTANCE) if self.anchor_free and not self.bins else 0.0

    def class_outputs(self, num_classes: int) -> int:
        """Returns the number of outputs of the class predictor per anchor."""
        return num_classes + int(self.background_slot)


# The 2019 port's detector, ssd_mnasnet_b1_fpn_shared_box_predictor_640x640_coco17.config, without the unused output.
RETINANET = DetectorSpec(name="retinanet")

# For 320 px on phones and CPUs. In a series of short trainings, more channels improved the accuracy and more
# convolutions did not (docs/explanation/results.md). A 5x5 depthwise kernel instead of 3x3 adds an eighth to the cost
# of a layer with 128 channels.
LITE = DetectorSpec(
    name="lite",
    channels=128,
    depth=1,
    kernel=5,
    separable=True,
    stddev=0.0,
    image_size=320,
)

# For 320 px on phones and CPUs, without anchors. Not yet chosen by trainings: sizes are PicoDet's and NanoDet-Plus's
# (96 channels, 5x5 kernels, eight bins), predictors and the sharing of kernels RTMDet's.
ANCHOR_FREE = DetectorSpec(
    name="anchor-free",
    channels=96,
    depth=2,
    kernel=5,
    fpn_kernel=5,
    separable=True,
    shared_tower=True,
    predictor_kernel=1,
    bottom_up=True,
    max_level=5,
    anchor_free=True,
    bins=8,
    anchors=1,
    stddev=0.0,
    image_size=320,
)

DETECTORS: dict[str, DetectorSpec] = {spec.name: spec for spec in (RETINANET, LITE, ANCHOR_FREE)}

# As the API stores the port's detector. One slim throughout (the API of 2019) gives the pyramid batch norm.
API_RETINANET = dataclasses.replace(RETINANET, background_slot=True)
# The API of 2020 and later uses the tf_slim package, the port tf.contrib.slim: neither sees the other's arg scopes,
# so the pyramid falls back to slim's defaults, biases and ReLU.
API_RETINANET_MIXED_SLIM = dataclasses.replace(API_RETINANET, fpn_norm=False, fpn_activation="relu")


def get_detector(name: str) -> DetectorSpec:
    """Returns a detector family by its name; ValueError names the known ones and the nearest."""
    if name not in DETECTORS:
        close = difflib.get_close_matches(name, DETECTORS, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"unknown detector {name!r}: known are {', '.join(DETECTORS)}{hint}")
    return DETECTORS[name]


def pyramid_taps(backbone: NetSpec, detector: DetectorSpec) -> dict[int, str]:
    """Returns {level: backbone layer}, for b1 {3: "layer_8", 4: "layer_13", 5: "layer_18"}.

    Raises:
      ValueError: the backbone has no layer at the lowest level's stride.
    """
    taps = feature_taps(backbone)
    if 2**detector.min_level not in taps:
        raise ValueError(f"{backbone.name} has no features at stride {2**detector.min_level}; it has {sorted(taps)}")
    return {level: taps[2**level] for level in detector.levels if 2**level in taps}


def level_sizes(detector: DetectorSpec, image_size: int | None = None) -> dict[int, int]:
    """Returns {level: height = width of its features}; 640 px gives 80, 40, 20, 10, 5."""
    return {level: -(-(image_size or detector.image_size) // 2**level) for level in detector.levels}


def count_anchors(detector: DetectorSpec, image_size: int | None = None) -> int:
    """Returns A for a square image; 640 px gives 6 · (80² + 40² + 20² + 10² + 5²) = 51,150."""
    return detector.anchors * sum(size**2 for size in level_sizes(detector, image_size).values())


def bottom_up_scope(level: int, top: int) -> str:
    """Returns the scope of a level above the backbone's. The 2019 port numbers them from 19 on."""
    return f"bottom_up_Conv2d_{level - top + 19}"


def down_scope(number: int) -> str:
    """Returns the scope of the convolution that takes a pyramid's path back up to tap ``number``, counted from 1."""
    return f"down_{number}"


def merge_scope(number: int) -> str:
    """Returns the scope of the convolution after that level has joined the path."""
    return f"merging_{number}"


def level_scope(scope: str, index: int, detector: DetectorSpec) -> str:
    """Returns the scope of a head's kernels on level ``index``, counted from 0."""
    return scope if detector.shared_levels else f"{scope}/feature_{index}"


def tower_scopes(detector: DetectorSpec) -> tuple[str, str]:
    """Returns the scopes of the subnets for boxes and classes. They are equal if the subnet is shared."""
    if detector.shared_tower:
        return "PredictionTower", "PredictionTower"
    return "BoxPredictionTower", "ClassPredictionTower"
