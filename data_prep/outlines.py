"""The outlines of the generated shapes, drawn as masks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from PIL import ImageDraw

Point = tuple[float, float]
CANVAS = 192  # side of the mask that the unit square is drawn on


def _polygon(corners: int, inner: float = 1.0) -> Callable[[ImageDraw.ImageDraw], None]:
    """A regular polygon in the unit circle; `inner` < 1 pulls every other corner inwards (a star)."""

    def draw(mask: ImageDraw.ImageDraw) -> None:
        count = corners * 2 if inner < 1 else corners
        radius = [inner if inner < 1 and index % 2 else 1.0 for index in range(count)]
        _fill(mask, [_polar(radius[index], 2 * math.pi * index / count) for index in range(count)])

    return draw


def _circle(mask: ImageDraw.ImageDraw) -> None:
    _fill(mask, [_polar(1, 2 * math.pi * index / 48) for index in range(48)])


def _ring(mask: ImageDraw.ImageDraw) -> None:
    _circle(mask)
    _fill(mask, [_polar(0.55, 2 * math.pi * index / 48) for index in range(48)], 0)


def _cross(mask: ImageDraw.ImageDraw) -> None:
    a, b = 0.98, 0.3
    _fill(mask, [(-a, -b), (a, -b), (a, b), (-a, b)])
    _fill(mask, [(-b, -a), (b, -a), (b, a), (-b, a)])


def _stripes(mask: ImageDraw.ImageDraw) -> None:
    for left in (-0.9, -0.3, 0.3):
        _fill(mask, [(left, -0.9), (left + 0.32, -0.9), (left + 0.32, 0.9), (left, 0.9)])


def _crescent(mask: ImageDraw.ImageDraw) -> None:
    _circle(mask)
    _fill(mask, [(0.5 + 0.8 * x, 0.8 * y) for x, y in (_polar(1, 2 * math.pi * i / 48) for i in range(48))], 0)


def _arrow(mask: ImageDraw.ImageDraw) -> None:
    _fill(mask, [(-1, -0.25), (0.1, -0.25), (0.1, -0.8), (1, 0), (0.1, 0.8), (0.1, 0.25), (-1, 0.25)])


# name → synset-like id; the ids sort in this order, so class i is SHAPES[i - 1].
SHAPES: dict[str, Callable[[ImageDraw.ImageDraw], None]] = {
    "circle": _circle,
    "square": _polygon(4),
    "triangle": _polygon(3),
    "cross": _cross,
    "ring": _ring,
    "stripes": _stripes,
    "star": _polygon(5, inner=0.42),
    "crescent": _crescent,
    "arrow": _arrow,
    "hexagon": _polygon(6),
}


def _polar(radius: float, angle: float) -> Point:
    return radius * math.cos(angle), radius * math.sin(angle)


def _fill(mask: ImageDraw.ImageDraw, points: Sequence[Point], value: int = 255) -> None:
    mask.polygon([((x + 1) * CANVAS / 2, (y + 1) * CANVAS / 2) for x, y in points], fill=value)
