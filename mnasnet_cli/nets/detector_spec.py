"""RetinaNet's pyramid and heads as typed data, without TensorFlow. ``detector_table`` counts their cost.

A detector has two tables: a ``NetSpec`` for the backbone, and a ``DetectorSpec`` for the pyramid and the heads.
Sources: RetinaNet (arXiv 1708.02002), feature pyramids (arXiv 1612.03144), and the TF Object Detection API. Names,
shapes and the order of outputs are those of the API, so that its checkpoints fit.

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


@dataclasses.dataclass(frozen=True)
class DetectorSpec:
    """A detector on a backbone: a pyramid of features, and subnets that all levels share.

    Attributes:
      channels: of every pyramid level and every layer of the subnets.
      depth: number of convolutions in a subnet before its predictor.
      kernel: size of the convolutions of subnets and predictors, in pixels of the level.
      fpn_kernel: size of the pyramid's convolutions (always 3 in the API).
      separable: depthwise and 1x1 convolutions instead of full ones, with nothing in between, as the API's
        ``use_depthwise`` builds them; projections stay 1x1.
      shared_tower: one subnet predicts both classes and boxes, instead of one each.
      activation: "relu" or "relu6", in the subnets.
      fpn_activation: the same for the pyramid's convolutions; projections are linear.
      fpn_norm: the pyramid's convolutions have batch norm instead of a bias.
      min_level, max_level: of the pyramid. Levels above the backbone's are computed from the level below.
      anchors: number per position, which is aspect ratios times scales.
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
    activation: str = "relu6"
    fpn_activation: str = "relu6"
    fpn_norm: bool = True
    min_level: int = 3
    max_level: int = 7
    anchors: int = 6
    prior: float = 0.01
    stddev: float = 0.01
    background_slot: bool = False
    image_size: int = 640

    def __post_init__(self) -> None:
        check_fields(self)
        if self.fpn_activation not in ("relu", "relu6"):
            raise ValueError(f"fpn_activation must be 'relu' or 'relu6', got {self.fpn_activation!r}")
        if min(self.channels, self.anchors, self.image_size) < 1 or self.depth < 0:
            raise ValueError(f"channels, anchors and image_size start at 1 and depth at 0: {self}")
        smallest = 3 if self.separable else 1
        if min(self.kernel, self.fpn_kernel) < smallest or not self.kernel % 2 == self.fpn_kernel % 2 == 1:
            raise ValueError(f"kernels must be odd, and from 3 on where they are separable: {self}")
        if not 1 <= self.min_level <= self.max_level:
            raise ValueError(f"1 <= min_level <= max_level must hold, got {self.min_level} and {self.max_level}")
        if not 0.0 < self.prior < 1.0 or not 0.0 <= self.stddev < math.inf:
            raise ValueError(f"prior must lie in (0, 1) and stddev start at 0: {self}")

    @property
    def levels(self) -> range:
        return range(self.min_level, self.max_level + 1)

    @property
    def class_bias(self) -> float:
        """The logit of ``prior``: -4.595 for 0.01; the API's configurations have -4.6."""
        return -math.log((1.0 - self.prior) / self.prior)

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

DETECTORS: dict[str, DetectorSpec] = {spec.name: spec for spec in (RETINANET, LITE)}

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


def tower_scopes(detector: DetectorSpec) -> tuple[str, str]:
    """Returns the scopes of the subnets for boxes and classes. They are equal if the subnet is shared."""
    if detector.shared_tower:
        return "PredictionTower", "PredictionTower"
    return "BoxPredictionTower", "ClassPredictionTower"
