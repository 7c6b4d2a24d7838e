"""The tables of the nets as in the paper, and their parameters and multiply-adds, without TensorFlow.

Sources: the paper (arXiv 1807.11626, figure 7 and table 1), its authors' ``tensorflow/tpu``
``models/official/mnasnet/mnasnet_models.py``, and ``rootkitchao/mnasnet_tensorflow`` for the 2019 dialect. MobileNetV2
is here for comparison, from its paper (arXiv 1801.04381) and ``tensorflow/models`` ``research/slim/nets/mobilenet``.
"""

from __future__ import annotations

import dataclasses
import difflib
from typing import Any, Iterator, Mapping

from .architecture import (
    BlockSpec,
    Dialect,
    NetSpec,
    StageSpec,
    adapt,
    block_specs,
    feature_taps,
    layer_names,
    round_channels,
    scale,
)
from .published import PUBLISHED, Published

PAPER = Dialect()

# A TF-Slim port; its published checkpoints (top-1 74.094, COCO mAP 33.7) load.
PORT_2019 = Dialect(
    activation="relu6",
    expand_from="output",
    squeeze_at="projected",
    batch_norm_decay=0.9997,
    head_scaling="widen",
    fpn_from_head=True,
)

A1 = NetSpec(
    name="a1",
    stem=32,  # 224 -> 112
    stages=(
        StageSpec(repeats=1, kernel=3, stride=1, expand=1, channels=16, skip=False),  # 112
        StageSpec(repeats=2, kernel=3, stride=2, expand=6, channels=24),  # 112 -> 56
        StageSpec(repeats=3, kernel=5, stride=2, expand=3, channels=40, squeeze=0.25),  # 56 -> 28
        StageSpec(repeats=4, kernel=3, stride=2, expand=6, channels=80),  # 28 -> 14
        StageSpec(repeats=2, kernel=3, stride=1, expand=6, channels=112, squeeze=0.25),  # 14
        StageSpec(repeats=3, kernel=5, stride=2, expand=6, channels=160, squeeze=0.25),  # 14 -> 7
        StageSpec(repeats=1, kernel=3, stride=1, expand=6, channels=320),  # 7
    ),
)

B1 = NetSpec(
    name="b1",
    stem=32,  # 224 -> 112
    stages=(
        StageSpec(repeats=1, kernel=3, stride=1, expand=1, channels=16, skip=False),  # 112
        StageSpec(repeats=3, kernel=3, stride=2, expand=3, channels=24),  # 112 -> 56
        StageSpec(repeats=3, kernel=5, stride=2, expand=3, channels=40),  # 56 -> 28
        StageSpec(repeats=3, kernel=5, stride=2, expand=6, channels=80),  # 28 -> 14
        StageSpec(repeats=2, kernel=3, stride=1, expand=6, channels=96),  # 14
        StageSpec(repeats=4, kernel=5, stride=2, expand=6, channels=192),  # 14 -> 7
        StageSpec(repeats=1, kernel=3, stride=1, expand=6, channels=320, skip=False),  # 7
    ),
)

SMALL = NetSpec(
    name="small",
    stem=8,  # 224 -> 112
    stages=(
        # The TPU code assumes 16 input channels for this block (the stem has 8) and therefore has no skip. timm has
        # the same table with the skip (``first_skip``).
        StageSpec(repeats=1, kernel=3, stride=1, expand=1, channels=8, skip=False),  # 112
        StageSpec(repeats=1, kernel=3, stride=2, expand=3, channels=16),  # 112 -> 56
        StageSpec(repeats=2, kernel=3, stride=2, expand=6, channels=16),  # 56 -> 28
        StageSpec(repeats=4, kernel=5, stride=2, expand=6, channels=32, squeeze=0.25),  # 28 -> 14
        StageSpec(repeats=3, kernel=3, stride=1, expand=6, channels=32, squeeze=0.25),  # 14
        StageSpec(repeats=3, kernel=5, stride=2, expand=6, channels=88, squeeze=0.25),  # 14 -> 7
        StageSpec(repeats=1, kernel=3, stride=1, expand=6, channels=144),  # 7
    ),
    dropout=0.0,
)

# Searched together with a detector's feature pyramid (MnasFPN).
D1 = NetSpec(
    name="d1",
    stem=32,  # 224 -> 112
    stages=(
        StageSpec(repeats=1, kernel=3, stride=1, expand=9, channels=24),  # 112
        StageSpec(repeats=3, kernel=3, stride=2, expand=9, channels=36),  # 112 -> 56
        StageSpec(repeats=5, kernel=3, stride=2, expand=9, channels=48),  # 56 -> 28
        StageSpec(repeats=4, kernel=5, stride=2, expand=9, channels=96),  # 28 -> 14
        StageSpec(repeats=5, kernel=7, stride=1, expand=3, channels=96),  # 14
        StageSpec(repeats=3, kernel=3, stride=2, expand=9, channels=80),  # 14 -> 7
        StageSpec(repeats=1, kernel=7, stride=1, expand=6, channels=320, skip=False),  # 7
    ),
)

# As in TF-Slim's ``mobilenet_v2.py``: its training scope, and a head that only multipliers above 1 scale.
SLIM_MOBILENET = Dialect(
    activation="relu6",
    batch_norm_decay=0.997,
    head_scaling="widen",
)

# "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (Sandler et al., arXiv 1801.04381), table 2.
MOBILENET_V2 = NetSpec(
    name="mobilenet-v2",
    stem=32,  # 224 -> 112
    stages=(
        StageSpec(repeats=1, kernel=3, stride=1, expand=1, channels=16),  # 112
        StageSpec(repeats=2, kernel=3, stride=2, expand=6, channels=24),  # 112 -> 56
        StageSpec(repeats=3, kernel=3, stride=2, expand=6, channels=32),  # 56 -> 28
        StageSpec(repeats=4, kernel=3, stride=2, expand=6, channels=64),  # 28 -> 14
        StageSpec(repeats=3, kernel=3, stride=1, expand=6, channels=96),  # 14
        StageSpec(repeats=3, kernel=3, stride=2, expand=6, channels=160),  # 14 -> 7
        StageSpec(repeats=1, kernel=3, stride=1, expand=6, channels=320),  # 7
    ),
    dialect=SLIM_MOBILENET,
)

NETS: dict[str, NetSpec] = {
    spec.name: spec
    for spec in (
        A1,
        B1,
        SMALL,
        D1,
        dataclasses.replace(A1, name="a1-2019", dialect=PORT_2019),
        dataclasses.replace(B1, name="b1-2019", dialect=PORT_2019),
        MOBILENET_V2,
    )
}


def get_spec(net: str | NetSpec, width: float = 1.0, changes: Mapping[str, Any] | None = None) -> NetSpec:
    """Returns a net, by its name or as an unscaled table, at a width multiplier.

    ``changes`` are the differences of another implementation; see ``adapt``. ValueError for an unknown name lists the
    known ones and the nearest.
    """
    if isinstance(net, NetSpec):
        return scale(adapt(net, changes or {}), width)
    if net not in NETS:
        close = difflib.get_close_matches(net, NETS, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"unknown variant {net!r}: known are {', '.join(NETS)}{hint}")
    return scale(adapt(NETS[net], changes or {}), width)


@dataclasses.dataclass(frozen=True)
class ConvShape:
    """A convolution; ``kernel`` is [height, width, channels in, channels out], depthwise [k, k, C, 1].

    ``size`` is the height and width of its output in pixels. ``normalized``: with batch norm instead of a bias.
    """

    scope: str
    kernel: tuple[int, int, int, int]
    size: int
    normalized: bool = True

    @property
    def channels(self) -> int:
        return self.kernel[2] * self.kernel[3] if self.scope.endswith("depthwise") else self.kernel[3]

    @property
    def weights(self) -> int:
        return self.kernel[0] * self.kernel[1] * self.kernel[2] * self.kernel[3]


def _block_convolutions(block: BlockSpec) -> Iterator[ConvShape]:
    k, expanded, out = block.kernel, block.expanded_channels, block.out_channels
    if block.has_expansion:
        yield ConvShape(f"{block.scope}/expand", (1, 1, block.in_channels, expanded), block.in_size)
    yield ConvShape(f"{block.scope}/depthwise", (k, k, expanded, 1), block.out_size)
    squeezed, reduced = (expanded if block.squeezes_expanded else out), block.squeeze_channels
    if reduced:
        yield ConvShape(f"{block.scope}/se_block/excitation_reduce", (1, 1, squeezed, reduced), 1, False)
        yield ConvShape(f"{block.scope}/se_block/excitation_expand", (1, 1, reduced, squeezed), 1, False)
    yield ConvShape(f"{block.scope}/project", (1, 1, expanded, out), block.out_size)


def convolutions(spec: NetSpec, num_classes: int = 1000, image_size: int | None = None) -> Iterator[ConvShape]:
    """Yields all convolutions including the logits, with their scopes in the net."""
    blocks = block_specs(spec, image_size)
    yield ConvShape("Conv", (3, 3, 3, spec.stem), blocks[0].in_size)
    for block in blocks:
        yield from _block_convolutions(block)
    yield ConvShape("Conv_1", (1, 1, spec.stages[-1].channels, spec.head), blocks[-1].out_size)
    if num_classes:
        yield ConvShape("Conv2d_1c_1x1", (1, 1, spec.head, num_classes), 1, False)


def variable_shapes(spec: NetSpec, num_classes: int = 1000, scope: str = "Mnasnet") -> dict[str, tuple[int, ...]]:
    """Returns {variable name: shape} of the built net, moving statistics included."""
    shapes: dict[str, tuple[int, ...]] = {}
    for conv in convolutions(spec, num_classes):
        prefix = f"{scope}/{conv.scope}"
        kernel = "depthwise_weights" if conv.scope.endswith("depthwise") else "weights"
        shapes[f"{prefix}/{kernel}"] = conv.kernel
        extras = ("beta", "gamma", "moving_mean", "moving_variance") if conv.normalized else ()
        shapes.update({f"{prefix}/BatchNorm/{extra}": (conv.channels,) for extra in extras})
        if not conv.normalized:
            shapes[f"{prefix}/biases"] = (conv.channels,)
    return shapes


def count_parameters(spec: NetSpec, num_classes: int = 1000) -> int:
    """Returns the number of trainable parameters: kernels, biases, batch norm's scale and offset."""
    return sum(conv.weights + conv.channels * (2 if conv.normalized else 1) for conv in convolutions(spec, num_classes))


def multiply_adds(spec: NetSpec, image_size: int | None = None, num_classes: int = 1000) -> int:
    """Returns the multiply-adds for one square image: convolutions, and squeeze-excite's product per element.

    Batch norm (it folds into the kernels), biases, activations and pooling are not counted.
    """
    convolved = sum(conv.weights * conv.size**2 for conv in convolutions(spec, num_classes, image_size))
    scaled = sum(
        (block.expanded_channels if block.squeezes_expanded else block.out_channels) * block.out_size**2
        for block in block_specs(spec, image_size)
        if block.squeeze_channels
    )
    return convolved + scaled


__all__ = [
    "NETS",
    "PAPER",
    "PORT_2019",
    "PUBLISHED",
    "SLIM_MOBILENET",
    "BlockSpec",
    "ConvShape",
    "Dialect",
    "NetSpec",
    "Published",
    "StageSpec",
    "adapt",
    "block_specs",
    "convolutions",
    "count_parameters",
    "feature_taps",
    "get_spec",
    "layer_names",
    "multiply_adds",
    "round_channels",
    "scale",
    "variable_shapes",
]
