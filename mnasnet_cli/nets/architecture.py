"""The architecture of a MnasNet as typed data: rows, dialects, width scaling and blocks (no TensorFlow).

Symbols: a *stage* is a row of the paper's table, a *block* one of its repeats, a *layer* an end point
(``layer_1`` is the stem, then a layer per block, the last one is the head convolution).
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Mapping

_CHOICES = {
    "activation": ("relu", "relu6"),
    "DetectorSpec.activation": ("relu", "relu6", "hswish"),
    "fpn_activation": ("relu", "relu6", "hswish"),
    "fusion": ("add", "concat"),
    "expand_from": ("input", "output"),
    "squeeze_at": ("expanded", "projected"),
    "padding": ("same", "symmetric"),
    "head_scaling": ("fixed", "widen"),
}


_TYPES: dict[str, Any] = {"int": int, "float": (int, float), "str": str, "bool": bool, "tuple": tuple}


def check_fields(row: Any) -> None:
    """Raises TypeError if a field has another type than its annotation, ValueError for an unknown choice."""
    for field in dataclasses.fields(row):
        name, value = field.name, getattr(row, field.name)
        kind = str(field.type).split("[")[0]  # annotations are strings, so that Python 3.7 accepts them
        accepted = _TYPES.get(kind, Dialect)
        if not isinstance(value, accepted) or (isinstance(value, bool) and kind != "bool"):
            raise TypeError(f"{type(row).__name__}.{name} must be {kind}, got {value!r}")
        of_class = f"{type(row).__name__}.{name}"
        choices = _CHOICES.get(of_class, _CHOICES.get(name))
        if choices and value not in choices:
            raise ValueError(f"{of_class} must be one of {choices}, got {value!r}")


@dataclasses.dataclass(frozen=True)
class Dialect:
    """Details in which implementations of the same table differ.

    Attributes:
      activation: "relu" or "relu6", after the stem, the expansion, the depthwise convolution and the head.
      expand_from: the expansion ratio multiplies the block's "input" or its "output" width.
      squeeze_at: squeeze-excite acts on the "expanded" tensor with a reduction of the block's input width, or on
        the "projected" tensor with a reduction of the output width.
      padding: "same" as in TensorFlow, or "symmetric": k // 2 zeros on every side, as in PyTorch. They differ for
        a stride of 2 and an even size: "same" then pads one more at the end than at the start.
      batch_norm_decay: factor of the old moving statistics in each step.
      batch_norm_epsilon: added to the variance.
      stem_scales: the width multiplier also scales the stem.
      unscaled_stages: the number of stages, from the first, that keep their width at every multiplier.
      head_scaling: "fixed" keeps the head's width; "widen" scales it by multipliers above 1.
      fpn_from_head: the detector's stride-32 features come from the head convolution instead of the last block.
    """

    activation: str = "relu"
    expand_from: str = "input"
    squeeze_at: str = "expanded"
    padding: str = "same"
    batch_norm_decay: float = 0.99
    batch_norm_epsilon: float = 1e-3
    stem_scales: bool = True
    unscaled_stages: int = 0
    head_scaling: str = "fixed"
    fpn_from_head: bool = False

    def __post_init__(self) -> None:
        check_fields(self)


@dataclasses.dataclass(frozen=True)
class StageSpec:
    """A row of the table: ``repeats`` blocks. Only the first one has the stride.

    ``squeeze`` is the squeeze-excite ratio (0.0: none). With ``expand`` 1 a block has no expansion convolution.
    ``skip`` allows the residual connection; a block has it if its stride is 1 and it keeps the width.
    """

    repeats: int
    kernel: int
    stride: int
    expand: int
    channels: int
    squeeze: float = 0.0
    skip: bool = True

    def __post_init__(self) -> None:
        check_fields(self)
        if min(self.repeats, self.expand, self.channels) < 1 or self.stride not in (1, 2):
            raise ValueError(f"repeats, expand and channels must be at least 1 and stride 1 or 2: {self}")
        if self.kernel < 1 or self.kernel % 2 == 0 or not 0.0 <= self.squeeze <= 1.0:
            raise ValueError(f"kernel must be odd and squeeze in [0, 1]: {self}")


@dataclasses.dataclass(frozen=True)
class NetSpec:
    """A net. ``width`` is the multiplier of its channels; ``dropout`` is applied before the logits."""

    name: str
    stem: int
    stages: tuple[StageSpec, ...]
    head: int = 1280
    dialect: Dialect = Dialect()
    image_size: int = 224
    dropout: float = 0.2
    width: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self)


@dataclasses.dataclass(frozen=True)
class BlockSpec:
    """One block with all derived values; sizes are in pixels (height = width) for a given image size.

    ``squeeze_channels`` is 0 without squeeze-excite; ``total_stride`` is from image to output.
    """

    layer: str
    scope: str
    kernel: int
    stride: int
    in_channels: int
    expanded_channels: int
    out_channels: int
    squeeze_channels: int
    squeezes_expanded: bool
    has_expansion: bool
    has_skip: bool
    total_stride: int
    in_size: int
    out_size: int


def round_channels(channels: float, divisor: int = 8) -> int:
    """Returns the nearest multiple of ``divisor``; the next one if that would be below 90 % of ``channels``.

    The TPU code, timm and torchvision have the same rule.
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def scale(spec: NetSpec, width: float) -> NetSpec:
    """Returns ``spec`` at a width multiplier; ValueError if it is already scaled or ``width`` is not positive.

    The dialect says how stages, stem and head scale. Width 1.0 keeps widths that are not multiples of 8, such as the
    36 of d1.
    """
    if not (isinstance(width, (int, float)) and math.isfinite(width) and width > 0):
        raise ValueError(f"the width multiplier must be a positive number, got {width!r}")
    if width == 1.0:
        return spec
    if spec.width != 1.0:
        raise ValueError(f"{spec.name} already has width {spec.width}; scale the unscaled table")
    kept = spec.dialect.unscaled_stages
    stages = spec.stages[:kept] + tuple(
        dataclasses.replace(stage, channels=round_channels(stage.channels * width)) for stage in spec.stages[kept:]
    )
    stem = round_channels(spec.stem * width) if spec.dialect.stem_scales else spec.stem
    widen = spec.dialect.head_scaling == "widen" and width > 1
    head = round_channels(spec.head * width) if widen else spec.head
    return dataclasses.replace(spec, stem=stem, stages=stages, head=head, width=float(width))


def adapt(spec: NetSpec, changes: Mapping[str, Any]) -> NetSpec:
    """Returns ``spec`` with the details of another implementation: ``changes`` are fields of its dialect, by name.

    There is one more, ``first_skip``: whether the first row may have a residual connection. Apply width multipliers
    afterwards.
    """
    fields = dict(changes)
    first_skip = fields.pop("first_skip", None)
    if first_skip is not None:
        first, *rest = spec.stages
        spec = dataclasses.replace(spec, stages=(dataclasses.replace(first, skip=first_skip), *rest))
    return dataclasses.replace(spec, dialect=dataclasses.replace(spec.dialect, **fields)) if fields else spec


def _block(stage: StageSpec, first: bool, in_channels: int, dialect: Dialect) -> dict[str, Any]:
    """Returns the fields of a block from its row, its input width and the dialect."""
    stride = stage.stride if first else 1
    has_expansion = stage.expand != 1
    base = in_channels if dialect.expand_from == "input" else stage.channels
    expanded_channels = base * stage.expand if has_expansion else in_channels
    squeezes_expanded = dialect.squeeze_at == "expanded"
    squeezed_from = in_channels if squeezes_expanded else stage.channels
    return {
        "kernel": stage.kernel,
        "stride": stride,
        "in_channels": in_channels,
        "expanded_channels": expanded_channels,
        "out_channels": stage.channels,
        "squeeze_channels": max(1, int(squeezed_from * stage.squeeze)) if stage.squeeze else 0,
        "squeezes_expanded": squeezes_expanded,
        "has_expansion": has_expansion,
        "has_skip": stage.skip and stride == 1 and in_channels == stage.channels,
    }


def block_specs(spec: NetSpec, image_size: int | None = None) -> list[BlockSpec]:
    """Expands the rows into blocks with the names of the 2019 port: sep_conv, mb_conv, mb_conv_1, …"""
    size = -(-(image_size or spec.image_size) // 2)  # the stem halves and rounds up, with either padding
    channels, total_stride = spec.stem, 2
    blocks: list[BlockSpec] = []
    seen: dict[str, int] = {}
    for stage in spec.stages:
        for repeat in range(stage.repeats):
            fields = _block(stage, repeat == 0, channels, spec.dialect)
            kind = "mb_conv" if fields["has_expansion"] else "sep_conv"
            number = seen.get(kind, 0)
            seen[kind] = number + 1
            out_size = -(-size // fields["stride"])
            total_stride *= fields["stride"]
            blocks.append(
                BlockSpec(
                    layer=f"layer_{len(blocks) + 2}",
                    scope=f"{kind}_{number}" if number else kind,
                    total_stride=total_stride,
                    in_size=size,
                    out_size=out_size,
                    **fields,
                )
            )
            size, channels = out_size, stage.channels
    return blocks


def layer_names(spec: NetSpec) -> list[str]:
    """Returns layer_1 (the stem), a layer per block, and the layer of the head convolution."""
    return [f"layer_{number}" for number in range(1, sum(stage.repeats for stage in spec.stages) + 3)]


def feature_taps(spec: NetSpec) -> dict[int, str]:
    """Returns {stride: last layer at that stride}, for b1 {2: "layer_2", 4: "layer_5", …, 32: "layer_18"}.

    The head convolution is included only if the dialect builds its detector on it.
    """
    taps = {2: "layer_1"}
    for block in block_specs(spec):
        taps[block.total_stride] = block.layer
    if spec.dialect.fpn_from_head:
        taps[max(taps)] = layer_names(spec)[-1]
    return taps
