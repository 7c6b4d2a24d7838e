"""The boxes around shapes: x, y, width and height in px, where a shape's edges may lie between pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

Box = tuple[float, float, float, float]
Point = tuple[float, float]

_MAX_SIDE = 1 << 31  # px


def number(value: Any) -> float:
    """Return a number, also from text. NaN: it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


def image_size(width: Any, height: Any) -> tuple[int, int] | tuple[None, None]:
    """Return the width and height of an image in px, None for both if one is no positive number."""
    size = number(width), number(height)
    return (int(size[0]), int(size[1])) if all(1 <= side < _MAX_SIDE for side in size) else (None, None)


def degrees(radians: float) -> float:
    """Return an angle in degrees. NaN stays NaN."""
    return math.degrees(radians)


def from_edges(x1: float, y1: float, x2: float, y2: float) -> Box:
    """Return the box between two corners."""
    return min(x1, x2), min(y1, y2), abs(x2 - x1), abs(y2 - y1)


def of_points(points: Iterable[Sequence[float]]) -> Box | None:
    """Return the box around points. None: there are no points, or some are not finite."""
    points = list(points)
    if not points or not all(math.isfinite(value) for point in points for value in point):
        return None
    columns, rows = zip(*points, strict=True)
    return from_edges(min(columns), min(rows), max(columns), max(rows))


def of_pairs(values: Sequence[float]) -> Box | None:
    """Return the box around points whose coordinates stand in one row: x, y, x, y, …"""
    return of_points(zip(values[::2], values[1::2], strict=True)) if len(values) % 2 == 0 else None


def of_rotated_box(box: Box, degrees: float, pivot: Point) -> Box | None:
    """Return the box around a box that is rotated clockwise about a point."""
    x, y, width, height = box
    corners = [(x, y), (x + width, y), (x, y + height), (x + width, y + height)]
    return of_points(_rotate(corner, degrees, pivot) for corner in corners) if degrees else box


def _rotate(point: Point, degrees: float, pivot: Point) -> Point:
    cosine, sine = _direction(degrees)
    x, y = point[0] - pivot[0], point[1] - pivot[1]
    return pivot[0] + x * cosine - y * sine, pivot[1] + x * sine + y * cosine


def _direction(degrees: float) -> Point:
    """Return the cosine and the sine of an angle, NaN if it is infinite."""
    radians = math.radians(degrees) if math.isfinite(degrees) else math.nan
    return math.cos(radians), math.sin(radians)


def of_ellipse(x: float, y: float, radius_x: float, radius_y: float, degrees: float = 0) -> Box:
    """Return the box around an ellipse with the centre x, y that is rotated about it."""
    cosine, sine = _direction(degrees)
    half_width = math.hypot(radius_x * cosine, radius_y * sine)
    half_height = math.hypot(radius_x * sine, radius_y * cosine)
    return x - half_width, y - half_height, 2 * half_width, 2 * half_height
