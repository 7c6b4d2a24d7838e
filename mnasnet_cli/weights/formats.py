"""The kinds of weights that can be read: how they are told apart, and what belongs to each (no TensorFlow)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mnasnet_cli.errors import CheckpointError
from mnasnet_cli.nets.architecture import NetSpec
from mnasnet_cli.nets.detector_spec import API_RETINANET, API_RETINANET_MIXED_SLIM, DetectorSpec
from mnasnet_cli.nets.detector_table import detector_variable_shapes
from mnasnet_cli.nets.spec import NETS, get_spec, variable_shapes
from mnasnet_cli.weights.name_maps import timm_rules, torchvision_rules, tpu_rules, tpu_tensors
from mnasnet_cli.weights.rules import Rule

# What TF-Slim's inception_preprocessing and the 2019 detector do: pixels to [-1, 1].
_TO_ONE = {"mean": [127.5] * 3, "deviation": [127.5] * 3, "interpolation": "tf1-bilinear"}
TORCH_EPSILON = 1e-5


@dataclass(frozen=True)
class Kind:
    """One source of weights.

    Attributes:
      title: for people.
      marker: a name that only this kind has.
      variants: of the table that exist there.
      nets: changes to the table (`nets.architecture.adapt`); of several, the one that fits is taken.
      by_variant: the same for one of the variants.
      rules: names and shapes for a net and its number of classes.
      classifier: name of the last layer's tensor whose last or only axis counts the classes.
      preprocessing: the section `data` for a variant's width and image size.
      tensors: brings names into the form that `rules` has.
      detector: what the net is built on where it is a detector.
    """

    name: str
    title: str
    marker: re.Pattern[str]
    variants: tuple[str, ...]
    nets: tuple[Mapping[str, Any], ...]
    rules: Callable[[NetSpec, int], list[Rule]]
    classifier: str
    preprocessing: Callable[[float, int], dict[str, Any]]
    tensors: Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]] = lambda tensors: tensors
    detector: DetectorSpec | None = None
    by_variant: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def specs(self, variant: str, width: float) -> list[tuple[dict[str, Any], NetSpec]]:
        """The nets that weights of this kind can be of, each with what it changes in the table."""
        changes = [{**net, **self.by_variant.get(variant, {})} for net in self.nets]
        return [(change, get_spec(variant, width, change)) for change in changes]


def _slim_rules(spec: NetSpec, classes: int) -> list[Rule]:
    return [Rule(name, name, shape) for name, shape in variable_shapes(spec, classes).items()]


def _detector_rules(detector: DetectorSpec) -> Callable[[NetSpec, int], list[Rule]]:
    def rules(spec: NetSpec, slots: int) -> list[Rule]:
        """`slots` counts the background, too."""
        shapes = detector_variable_shapes(spec, detector, slots - 1)
        return [Rule(name, name, shape) for name, shape in shapes.items()]

    return rules


def _torchvision_data(width: float, size: int) -> dict[str, Any]:
    # Its weights of 2019 were scored on 224 of 256 px, those of 2022 (0.75 and 1.3) on 224 of 232.
    short_side = 232 if width in (0.75, 1.3) else 256
    return {"crop_fraction": 224 / short_side, "antialias": True}


def _detector_kind(name: str, marker: str, detector: DetectorSpec) -> Kind:
    return Kind(
        name=name,
        title="a detector of the Object Detection API",
        marker=re.compile(f"^FeatureExtractor/Mnasnet/fpn/{marker}$"),
        variants=tuple(NETS),  # our feature extractors put all of them into that API
        nets=({},),
        rules=_detector_rules(detector),
        classifier="WeightSharedConvolutionalBoxPredictor/ClassPredictor/biases",
        preprocessing=lambda width, size: dict(_TO_ONE),
        detector=detector,
    )


_TORCHVISION_NET = {"padding": "symmetric", "batch_norm_epsilon": TORCH_EPSILON, "batch_norm_decay": 0.9997}

KINDS = (
    Kind(
        name="torchvision",
        title="a state dict of torchvision's MNASNet",
        marker=re.compile(r"^layers\.0\.weight$"),
        variants=("b1",),
        # Before its second version, stem and first stage kept their widths.
        nets=(_TORCHVISION_NET, {**_TORCHVISION_NET, "stem_scales": False, "unscaled_stages": 1}),
        rules=torchvision_rules,
        classifier="classifier.1.bias",
        preprocessing=_torchvision_data,
    ),
    Kind(
        name="timm",
        title="a state dict of timm's EfficientNet",
        marker=re.compile(r"^conv_stem\.weight$"),
        variants=("a1", "b1", "small"),
        nets=({"padding": "symmetric", "batch_norm_epsilon": TORCH_EPSILON, "batch_norm_decay": 0.9},),
        by_variant={"small": {"first_skip": True}},
        rules=timm_rules,
        classifier="classifier.bias",
        preprocessing=lambda width, size: {"interpolation": "bicubic", "antialias": True},
    ),
    Kind(
        name="tpu",
        title="a checkpoint of the official TPU code",
        marker=re.compile(r"(^|/)mnas_stem/"),
        variants=("a1", "b1", "small", "d1"),
        nets=({},),
        rules=tpu_rules,
        classifier="mnas_head/dense/bias",
        # It crops all but 32 px at whatever size.
        preprocessing=lambda width, size: {"interpolation": "tf1-bilinear", "crop_fraction": size / (size + 32)},
        tensors=tpu_tensors,
    ),
    _detector_kind("object-detection", "smoothing_1/BatchNorm/beta", API_RETINANET),
    _detector_kind("object-detection-mixed-slim", "smoothing_1/biases", API_RETINANET_MIXED_SLIM),
    Kind(
        name="slim",
        title="a TF-Slim checkpoint",
        marker=re.compile(r"^Mnasnet/Conv/weights$"),
        variants=tuple(NETS),
        nets=({},),
        rules=_slim_rules,
        classifier="Mnasnet/Conv2d_1c_1x1/biases",
        preprocessing=lambda width, size: {**_TO_ONE, "stretch": True},
    ),
)


def find_kind(source: str, tensors: Mapping[str, np.ndarray]) -> Kind:
    """The kind of weights, by the names of the tensors.

    Raises:
      CheckpointError: it is none of them.
    """
    for kind in KINDS:
        if any(kind.marker.search(name) for name in tensors):
            return kind
    some = ", ".join(sorted(tensors)[:3])
    titles = dict.fromkeys(kind.title for kind in KINDS)
    raise CheckpointError(
        f"{source} holds {len(tensors)} tensors ({some} …), which are not a MnasNet's; expected {', '.join(titles)}"
    )
