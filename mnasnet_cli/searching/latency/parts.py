"""A net as a sum of parts that can be measured one by one: stem, blocks, and head with classifier."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mnasnet_cli.nets.architecture import NetSpec, block_specs, round_channels

# Of a depthwise multiply-add and of a value that is read or written, in multiply-adds of a 1×1 convolution. They only
# place a part between measured ones of its own kind, whose widths differ.
DEPTHWISE_COST, VALUE_COST = 3.0, 6.0
GRID = (0.25, 0.5, 1.0, 1.75)
"""Width multipliers at which the parts of a net are measured."""
STEM, BLOCK, HEAD = "stem", "block", "head"


@dataclass(frozen=True)
class Part:
    """A part of a net for images of one size.

    Attributes:
      kind: STEM, BLOCK or HEAD.
      size: height and width of its input in px.
      inputs, outputs: channels; of a head, those before its convolution and after it.
      kernel, stride, expand, skip: of the block; expand is the ratio, 1 for none.
      squeeze: channels of squeeze-excite's bottleneck; 0 for none.
      activation: "relu" or "relu6".
    """

    kind: str
    size: int
    inputs: int
    outputs: int
    kernel: int = 1
    stride: int = 1
    expand: int = 1
    squeeze: int = 0
    skip: bool = False
    activation: str = "relu"

    @property
    def family(self) -> str:
        """What parts share whose latencies are interpolated over their widths."""
        squeezed = "-se" if self.squeeze else ""
        shape = f"-k{self.kernel}-s{self.stride}-e{self.expand}{squeezed}" if self.kind == BLOCK else ""
        return f"{self.kind}-{self.size}{shape}-{self.activation}"

    def cost(self, classes: int) -> float:
        """Return the place of the part in its family: about its time in multiply-adds of a 1×1 convolution."""
        out = -(-self.size // self.stride)
        if self.kind == HEAD:
            values = self.size**2 * (self.inputs + self.outputs)
            return self.size**2 * self.inputs * self.outputs + self.outputs * classes + VALUE_COST * values
        if self.kind == STEM:
            half = -(-self.size // 2)
            return half**2 * (27 * self.outputs + VALUE_COST * self.outputs) + VALUE_COST * 3 * self.size**2
        expanded = self.inputs * self.expand
        pointwise = (self.size**2 * self.inputs * expanded if self.expand > 1 else 0) + out**2 * expanded * self.outputs
        depthwise = DEPTHWISE_COST * out**2 * expanded * self.kernel**2
        values = self.size**2 * (self.inputs + expanded) + out**2 * (expanded + self.outputs * (1 + self.skip))
        return pointwise + depthwise + VALUE_COST * values + 2 * expanded * self.squeeze


def parts_of(spec: NetSpec, image_size: int) -> Iterator[Part]:
    """Yield the parts of a net whose blocks expand their input, in order."""
    activation = spec.dialect.activation
    yield Part(STEM, image_size, 3, spec.stem, activation=activation)
    blocks = block_specs(spec, image_size)
    for block in blocks:
        yield Part(
            BLOCK,
            block.in_size,
            block.in_channels,
            block.out_channels,
            kernel=block.kernel,
            stride=block.stride,
            expand=block.expanded_channels // block.in_channels,
            squeeze=block.squeeze_channels,
            skip=block.has_skip,
            activation=activation,
        )
    yield Part(HEAD, blocks[-1].out_size, spec.stages[-1].channels, spec.head, activation=activation)


def stage_of(part: Part, image_size: int) -> int:
    """Return which third of a net a part belongs to: 0 at high resolutions, 1 between, 2 at low ones and the head."""
    if part.kind == HEAD:
        return 2
    return 0 if part.size >= image_size // 4 else 1 if part.size >= image_size // 10 else 2


def measured_parts(nets: Sequence[tuple[NetSpec, int]]) -> list[Part]:
    """Return the parts to measure for a table that covers nets like these, at all widths.

    Args:
      nets: each with its image size. At width 1, so that GRID spans the widths.
    """
    families: dict[str, list[Part]] = {}
    for spec, image_size in nets:
        for part in parts_of(spec, image_size):
            families.setdefault(part.family, []).append(part)
    found: dict[Part, None] = {}
    for parts in families.values():
        # The narrowest and the widest of the family: a table's lines end at them.
        parts.sort(key=lambda part: part.cost(1))
        for factor in GRID:
            found[_scaled(parts[-1] if factor >= 1 else parts[0], factor)] = None
    return list(found)


def _scaled(part: Part, factor: float) -> Part:
    inputs = part.inputs if part.kind == STEM else round_channels(part.inputs * factor)
    outputs = part.outputs if part.kind == HEAD else round_channels(part.outputs * factor)
    if part.kind == HEAD and factor < 0.5:
        outputs = round_channels(part.outputs / 2)
    if part.skip:
        outputs = inputs
    squeeze = max(1, inputs // 4) if part.squeeze else 0
    return replace(part, inputs=inputs, outputs=outputs, squeeze=squeeze)
