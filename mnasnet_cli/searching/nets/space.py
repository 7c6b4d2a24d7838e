"""The space of nets: what can be drawn, how a draw is changed, and how it becomes a net at a width.

It is the paper's (arXiv 1807.11626, section 4.1): seven stages of inverted bottlenecks, of which the repeats and the
widths are those of MobileNetV2 (arXiv 1801.04381, table 2) or a step beside them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mnasnet_cli.nets.architecture import NetSpec, StageSpec, round_channels

STEM, HEAD = 32, 1280
# Repeats, stride and channels of the stages after the first one, as in MobileNetV2.
STAGES = ((2, 2, 24), (3, 2, 32), (4, 2, 64), (3, 1, 96), (3, 2, 160), (1, 1, 320))
FIRST_CHANNELS = 16  # of the first stage, which has one block without an expansion

WIDTHS = (0.75, 1.0, 1.25)
HEADS = (0.5, 0.75, 1.0)
KERNELS = (3, 5)
EXPANSIONS = (3, 6)
SQUEEZES = (0.0, 0.25)
REPEATS = (-1, 0, 1)
STAGE_AXES = (KERNELS, EXPANSIONS, SQUEEZES, REPEATS, WIDTHS)
MAX_CHANGES = 3
"""Of a mutation."""

MIN_WIDTH, MAX_WIDTH = 0.1, 3.0
"""Of the multiplier that is solved for a latency."""


@dataclass(frozen=True)
class Genes:
    """A draw: the input size in px, and the index of a choice on each of the other axes.

    The axes are stem, first stage and head (WIDTHS, WIDTHS, HEADS), then STAGE_AXES for each of STAGES.
    """

    image_size: int
    choices: tuple[int, ...]


_AXES: tuple[Sequence[Any], ...] = (WIDTHS, WIDTHS, HEADS, *(axis for _ in STAGES for axis in STAGE_AXES))
SMALLEST = tuple(0 for _ in _AXES)
LARGEST = tuple(len(axis) - 1 for axis in _AXES)


def draw(generator: random.Random, image_sizes: Sequence[int]) -> Genes:
    """Draw a net; every choice is equally likely."""
    size = generator.choice(image_sizes)
    return Genes(size, tuple(generator.randrange(len(axis)) for axis in _AXES))


def mutate(generator: random.Random, parent: Genes, image_sizes: Sequence[int]) -> Genes:
    """Return a net that differs from its parent in one to MAX_CHANGES choices; the input size is one of them."""
    size, choices = parent.image_size, list(parent.choices)
    places = list(range(len(_AXES) + (len(image_sizes) > 1)))
    for place in generator.sample(places, generator.randint(1, MAX_CHANGES)):
        if place == len(_AXES):
            size = generator.choice([other for other in image_sizes if other != size])
        else:
            choices[place] = generator.choice([one for one in range(len(_AXES[place])) if one != choices[place]])
    return Genes(size, tuple(choices))


def net_of(genes: Genes, width: float, name: str = "net") -> NetSpec:
    """Return the net of a draw; `width` multiplies the channels of stem and stages, not those of the head."""
    values = [axis[one] for axis, one in zip(_AXES, genes.choices, strict=True)]
    stem, first, head = values[:3]
    stages = [
        StageSpec(1, kernel=3, stride=1, expand=1, channels=round_channels(FIRST_CHANNELS * first * width), skip=False)
    ]
    for number, (repeats, stride, channels) in enumerate(STAGES):
        start = 3 + number * len(STAGE_AXES)
        kernel, expand, squeeze, more, relative = values[start : start + len(STAGE_AXES)]
        stages.append(
            StageSpec(
                repeats=max(1, repeats + more),
                kernel=kernel,
                stride=stride,
                expand=expand,
                channels=round_channels(channels * relative * width),
                squeeze=squeeze,
            )
        )
    return NetSpec(
        name=name, stem=round_channels(STEM * stem * width), stages=tuple(stages), head=round_channels(HEAD * head)
    )


def genes_near(spec: NetSpec, image_size: int) -> Genes | None:
    """Return the draw that is nearest to a net at width 1; None if the space has no net like it."""
    if len(spec.stages) != len(STAGES) + 1 or spec.stages[0].expand != 1:
        return None
    relative = [
        _nearest(WIDTHS, spec.stem / STEM),
        _nearest(WIDTHS, spec.stages[0].channels / FIRST_CHANNELS),
        _nearest(HEADS, spec.head / HEAD),
    ]
    choices: list[int] = relative
    for row, (repeats, stride, channels) in zip(spec.stages[1:], STAGES, strict=True):
        more, squeeze = row.repeats - repeats, 0.25 if row.squeeze else 0.0
        if row.stride != stride or row.kernel not in KERNELS or row.expand not in EXPANSIONS or more not in REPEATS:
            return None
        choices += [
            KERNELS.index(row.kernel),
            EXPANSIONS.index(row.expand),
            SQUEEZES.index(squeeze),
            REPEATS.index(more),
            _nearest(WIDTHS, row.channels / channels),
        ]
    return Genes(image_size, tuple(choices))


def _nearest(axis: Sequence[float], value: float) -> int:
    return min(range(len(axis)), key=lambda place: abs(axis[place] - value))
