"""The convolutions of a detector, and its parameters, multiply-adds and variables, without TensorFlow."""

from __future__ import annotations

import dataclasses
from typing import Iterator

from .architecture import NetSpec, block_specs, layer_names
from .detector_spec import (
    BACKBONE_SCOPE,
    HEADS_SCOPE,
    PYRAMID_SCOPE,
    DetectorSpec,
    bottom_up_scope,
    down_scope,
    level_scope,
    level_sizes,
    merge_scope,
    pyramid_taps,
    tower_scopes,
)
from .spec import convolutions, count_parameters, multiply_adds, variable_shapes


@dataclasses.dataclass(frozen=True)
class HeadConv:
    """A convolution of the pyramid or the heads. ``norms`` are the scopes of its batch norms; () means a bias.

    ``positions`` is the number of output positions over all levels that it is applied to.
    """

    scope: str
    kernel: int
    in_channels: int
    out_channels: int
    positions: int
    separable: bool = False
    norms: tuple[str, ...] = ()

    @property
    def kernels(self) -> dict[str, tuple[int, int, int, int]]:
        """Returns {variable name: shape}."""
        k, into, out = self.kernel, self.in_channels, self.out_channels
        if self.separable and k == 1:  # nothing for a depthwise convolution to do
            return {"pointwise_weights": (1, 1, into, out)}
        if self.separable:
            return {"depthwise_weights": (k, k, into, 1), "pointwise_weights": (1, 1, into, out)}
        return {"weights": (k, k, into, out)}

    @property
    def weights(self) -> int:
        return sum(a * b * c * d for a, b, c, d in self.kernels.values())


def _tap_channels(backbone: NetSpec) -> dict[str, int]:
    names = layer_names(backbone)
    channels = {block.layer: block.out_channels for block in block_specs(backbone)}
    return {names[0]: backbone.stem, **channels, names[-1]: backbone.head}


def pyramid_convolutions(
    backbone: NetSpec, detector: DetectorSpec, image_size: int | None = None
) -> Iterator[HeadConv]:
    """Yields the convolutions of the pyramid, with the names of the API and the 2019 port."""
    positions = {level: size**2 for level, size in level_sizes(detector, image_size).items()}
    taps, channels = pyramid_taps(backbone, detector), _tap_channels(backbone)
    width, top = detector.channels, max(taps)
    norms = ("BatchNorm",) if detector.fpn_norm else ()
    for number, (level, layer) in enumerate(taps.items(), 1):
        yield HeadConv(f"{PYRAMID_SCOPE}/projection_{number}", 1, channels[layer], width, positions[level])
    joined = 2 * width if detector.fusion == "concat" else width
    rest = {f"smoothing_{number}": (level, joined) for number, level in enumerate(taps, 1) if level != top}
    if detector.bottom_up:
        for number, level in list(enumerate(taps, 1))[1:]:
            rest.update({down_scope(number): (level, width), merge_scope(number): (level, joined)})
    rest.update({bottom_up_scope(level, top): (level, width) for level in detector.levels if level > top})
    for scope, (level, inputs) in rest.items():
        yield HeadConv(
            f"{PYRAMID_SCOPE}/{scope}", detector.fpn_kernel, inputs, width, positions[level], detector.separable, norms
        )


def head_convolutions(detector: DetectorSpec, num_classes: int, image_size: int | None = None) -> Iterator[HeadConv]:
    """Yields the convolutions of the subnets and the two predictors."""
    levels = [size**2 for size in level_sizes(detector, image_size).values()]
    width = detector.channels
    # (suffix of the scope, positions, batch norms) of each set of kernels
    sets: list[tuple[str, int, tuple[str, ...]]] = [
        (level_scope("", index, detector), positions, ("BatchNorm",)) for index, positions in enumerate(levels)
    ]
    if detector.shared_levels:
        sets = [("", sum(levels), tuple(f"BatchNorm/feature_{index}" for index in range(len(levels))))]
    for tower in dict.fromkeys(tower_scopes(detector)):
        for number in range(detector.depth):
            for suffix, positions, norms in sets:
                scope = f"{HEADS_SCOPE}/{tower}/conv2d_{number}{suffix}"
                yield HeadConv(scope, detector.kernel, width, width, positions, detector.separable, norms)
    for name, outputs in (
        ("BoxPredictor", detector.box_outputs),
        ("ClassPredictor", detector.class_outputs(num_classes)),
    ):
        for suffix, positions, _ in sets:
            scope, outs = f"{HEADS_SCOPE}/{name}{suffix}", outputs * detector.anchors
            yield HeadConv(scope, detector.predictor_size, width, outs, positions, detector.separable)


def _added(backbone: NetSpec, detector: DetectorSpec, num_classes: int, image_size: int | None) -> list[HeadConv]:
    size = image_size or detector.image_size
    return [*pyramid_convolutions(backbone, detector, size), *head_convolutions(detector, num_classes, size)]


def _used_backbone(backbone: NetSpec, detector: DetectorSpec) -> tuple[NetSpec, bool]:
    """Returns the backbone up to its last tap, and whether that tap is the head convolution."""
    taps = pyramid_taps(backbone, detector)
    stages, stride = [], 2
    for stage in backbone.stages:
        stride *= stage.stride
        if stride <= 2 ** max(taps):
            stages.append(stage)
    return dataclasses.replace(backbone, stages=tuple(stages)), taps[max(taps)] == layer_names(backbone)[-1]


def detector_variable_shapes(backbone: NetSpec, detector: DetectorSpec, num_classes: int) -> dict[str, tuple[int, ...]]:
    """Returns {variable name: shape} of the detector, including moving statistics."""
    used, with_head = _used_backbone(backbone, detector)
    shapes = variable_shapes(used, 0, scope=BACKBONE_SCOPE)
    if not with_head:
        shapes = {name: shape for name, shape in shapes.items() if not name.startswith(f"{BACKBONE_SCOPE}/Conv_1/")}
    for conv in _added(backbone, detector, num_classes, None):
        shapes.update({f"{conv.scope}/{name}": shape for name, shape in conv.kernels.items()})
        if not conv.norms:
            shapes[f"{conv.scope}/biases"] = (conv.out_channels,)
        for norm in conv.norms:
            for part in ("beta", "gamma", "moving_mean", "moving_variance"):
                shapes[f"{conv.scope}/{norm}/{part}"] = (conv.out_channels,)
    return shapes


def detector_parameters(backbone: NetSpec, detector: DetectorSpec, num_classes: int) -> int:
    """Returns the number of trainable parameters: kernels, biases, batch norm's scale and offset."""
    used, with_head = _used_backbone(backbone, detector)
    total = count_parameters(used, 0)
    if not with_head:
        total -= (used.stages[-1].channels + 2) * used.head  # Conv_1, 1x1 with batch norm
    added = _added(backbone, detector, num_classes, None)
    return total + sum(conv.weights + conv.out_channels * (2 * len(conv.norms) or 1) for conv in added)


def detector_multiply_adds(
    backbone: NetSpec, detector: DetectorSpec, num_classes: int, image_size: int | None = None
) -> int:
    """Returns the multiply-adds for one square image, counted as in ``spec.multiply_adds``.

    The pyramid's upsampling, its sums and the decoding of boxes are not counted.
    """
    size = image_size or detector.image_size
    used, with_head = _used_backbone(backbone, detector)
    total = multiply_adds(used, size, 0)
    if not with_head:
        *_, head = convolutions(used, 0, size)
        total -= head.weights * head.size**2
    return total + sum(conv.weights * conv.positions for conv in _added(backbone, detector, num_classes, size))
