"""The formats of weights that can be imported: tensor names, net settings and preprocessing of each (no TensorFlow)."""

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
from mnasnet_cli.weights.name_maps import (
    timm_rules,
    torchvision_mobilenet_rules,
    torchvision_rules,
    tpu_rules,
    tpu_tensors,
)
from mnasnet_cli.weights.rules import Rule

# TF-Slim's inception_preprocessing and the 2019 detector scale pixels to [-1, 1].
_SCALE_TO_ONE = {"mean": [127.5] * 3, "deviation": [127.5] * 3, "interpolation": "tf1-bilinear"}
TORCH_EPSILON = 1e-5


@dataclass(frozen=True)
class WeightFormat:
    """One source of weights.

    Attributes:
      name: the identifier in JSON.
      title: the name in messages.
      marker: matches a tensor name that only this format has.
      variants: the variants that were published in this format.
      net_settings: how the net differs from our table (`nets.architecture.adapt`). Several entries are alternatives;
        the one that fits the tensors is used.
      rules: returns the rules for a net and its number of outputs.
      output_bias: the name of the last layer's bias. Its size is the number of outputs.
      preprocessing: returns the section `data` of the configuration for a width and an image size in px.
      normalize_names: maps the file's tensor names to the names in `rules`.
      detector: the detector that is built on the net; None for a classifier.
      variant_settings: further net settings of one variant.
      library: the library whose nets have these names, which is the name of the export format; None: there is none.
    """

    name: str
    title: str
    marker: re.Pattern[str]
    variants: tuple[str, ...]
    net_settings: tuple[Mapping[str, Any], ...]
    rules: Callable[[NetSpec, int], list[Rule]]
    output_bias: str
    preprocessing: Callable[[float, int], dict[str, Any]]
    normalize_names: Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]] = lambda tensors: tensors
    detector: DetectorSpec | None = None
    variant_settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    library: str | None = None

    def candidate_nets(self, net: str | NetSpec, width: float) -> list[tuple[dict[str, Any], NetSpec]]:
        """The nets that weights of this format can belong to, each as (settings of `model.net`, spec).

        net: the name of a variant, or an unscaled table.
        """
        name = net if isinstance(net, str) else net.name
        settings = [{**one, **self.variant_settings.get(name, {})} for one in self.net_settings]
        return [(one, get_spec(net, width, one)) for one in settings]


def _slim_rules(spec: NetSpec, outputs: int) -> list[Rule]:
    return [Rule(name, name, shape) for name, shape in variable_shapes(spec, outputs).items()]


def _detector_rules(detector: DetectorSpec) -> Callable[[NetSpec, int], list[Rule]]:
    def rules(spec: NetSpec, outputs: int) -> list[Rule]:
        """`outputs` is the number of class scores per anchor, including the background."""
        shapes = detector_variable_shapes(spec, detector, outputs - 1)
        return [Rule(name, name, shape) for name, shape in shapes.items()]

    return rules


def _torchvision_preprocessing(width: float, size: int) -> dict[str, Any]:
    # torchvision evaluated its weights of 2019 on 224 of 256 px, and those of 2022 (0.75 and 1.3) on 224 of 232 px.
    short_side = 232 if width in (0.75, 1.3) else 256
    return {"crop_fraction": 224 / short_side, "antialias": True}


def _detector_format(name: str, marker: str, detector: DetectorSpec) -> WeightFormat:
    return WeightFormat(
        name=name,
        title="a detector of the Object Detection API",
        marker=re.compile(f"^FeatureExtractor/Mnasnet/fpn/{marker}$"),
        variants=tuple(NETS),  # `integrations.object_detection` registers all of them
        net_settings=({},),
        rules=_detector_rules(detector),
        output_bias="WeightSharedConvolutionalBoxPredictor/ClassPredictor/biases",
        preprocessing=lambda width, size: dict(_SCALE_TO_ONE),
        detector=detector,
    )


_TORCHVISION_NET = {"padding": "symmetric", "batch_norm_epsilon": TORCH_EPSILON, "batch_norm_decay": 0.9997}

FORMATS = (
    WeightFormat(
        name="torchvision",
        title="a state dict of torchvision's MNASNet",
        marker=re.compile(r"^layers\.0\.weight$"),
        variants=("b1",),
        # Version 1 of torchvision's module did not scale the stem and the first stage.
        net_settings=(_TORCHVISION_NET, {**_TORCHVISION_NET, "stem_scales": False, "unscaled_stages": 1}),
        rules=torchvision_rules,
        output_bias="classifier.1.bias",
        preprocessing=_torchvision_preprocessing,
        library="torchvision",
    ),
    WeightFormat(
        name="torchvision-mobilenet-v2",
        title="a state dict of torchvision's MobileNetV2",
        marker=re.compile(r"^features\.0\.0\.weight$"),
        variants=("mobilenet-v2",),
        # Its batch norms have PyTorch's momentum of 0.1, unlike those of MNASNet.
        net_settings=({"padding": "symmetric", "batch_norm_epsilon": TORCH_EPSILON, "batch_norm_decay": 0.9},),
        rules=torchvision_mobilenet_rules,
        output_bias="classifier.1.bias",
        preprocessing=lambda width, size: {"crop_fraction": 0.875, "antialias": True},
        library="torchvision",
    ),
    WeightFormat(
        name="timm",
        title="a state dict of timm's EfficientNet",
        marker=re.compile(r"^conv_stem\.weight$"),
        variants=("a1", "b1", "small", "mobilenet-v2"),
        net_settings=({"padding": "symmetric", "batch_norm_epsilon": TORCH_EPSILON, "batch_norm_decay": 0.9},),
        variant_settings={"small": {"first_skip": True}},
        rules=timm_rules,
        output_bias="classifier.bias",
        preprocessing=lambda width, size: {"interpolation": "bicubic", "antialias": True},
        library="timm",
    ),
    WeightFormat(
        name="tpu",
        title="a checkpoint of the official TPU code",
        marker=re.compile(r"(^|/)mnas_stem/"),
        variants=("a1", "b1", "small", "d1"),
        net_settings=({},),
        rules=tpu_rules,
        output_bias="mnas_head/dense/bias",
        # The TPU code crops all but 32 px at every image size.
        preprocessing=lambda width, size: {"interpolation": "tf1-bilinear", "crop_fraction": size / (size + 32)},
        normalize_names=tpu_tensors,
    ),
    _detector_format("object-detection", "smoothing_1/BatchNorm/beta", API_RETINANET),
    _detector_format("object-detection-mixed-slim", "smoothing_1/biases", API_RETINANET_MIXED_SLIM),
    WeightFormat(
        name="slim",
        title="a TF-Slim checkpoint",
        marker=re.compile(r"^Mnasnet/Conv/weights$"),
        variants=tuple(NETS),
        net_settings=({},),
        rules=_slim_rules,
        output_bias="Mnasnet/Conv2d_1c_1x1/biases",
        preprocessing=lambda width, size: {**_SCALE_TO_ONE, "stretch": True},
    ),
)


def detect_format(source: str, tensors: Mapping[str, np.ndarray]) -> WeightFormat:
    """The format of weights, detected from the tensor names.

    Raises:
      CheckpointError: the names match no format.
    """
    for weight_format in FORMATS:
        if any(weight_format.marker.search(name) for name in tensors):
            return weight_format
    examples = ", ".join(sorted(tensors)[:3])
    titles = dict.fromkeys(weight_format.title for weight_format in FORMATS)
    raise CheckpointError(
        f"{source} holds {len(tensors)} tensors ({examples} …), which are not those of a MnasNet; expected "
        f"{', '.join(titles)}"
    )
