"""Reads the values of annotation files, also where a program wrote them in an unusual way."""

from __future__ import annotations

import math
import re
from typing import Any

MAX_SIDE = (1 << 31) - 1  # px
FIRST_NAMED_ID = 1 << 62
_DIGITS = re.compile(r"\s*[+-]?\d{1,18}\s*")
Box = tuple[float, float, float, float]  # x, y, width, height in px


class Ids:
    """The ids of images, categories or annotations as integers.

    A string of digits counts as a number. Any other string gets a number from FIRST_NAMED_ID for the time being.
    """

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self.digit_strings = 0

    def read(self, value: Any) -> int | None:
        """Return an id, None if the value is none. A float such as 640.0 counts: some programs write it."""
        if type(value) is int:  # the usual case, and not a bool
            return value if abs(value) < FIRST_NAMED_ID else None
        if isinstance(value, float) and value.is_integer() and abs(value) < FIRST_NAMED_ID:
            return int(value)
        if isinstance(value, str) and value:
            if _DIGITS.fullmatch(value):
                self.digit_strings += 1
                return int(value)
            return self.names.setdefault(value, FIRST_NAMED_ID + len(self.names))
        return None

    def shown(self, number: int) -> int | str:
        """Return an id as the file has it, for messages."""
        return number if number < FIRST_NAMED_ID else list(self.names)[number - FIRST_NAMED_ID]


def text(entry: Any, key: str) -> str | None:
    """Return a string of an entry, None if it has none."""
    value = entry.get(key) if isinstance(entry, dict) else None
    return value if isinstance(value, str) else None


def number_of(value: Any) -> float | None:
    """Return a finite number, also from a string, None for anything else."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    return value if is_finite(value) else None


def side(value: Any) -> int:
    """Return the width or height of an image in px, 0 if it is unknown."""
    found = number_of(value)
    return int(found) if found is not None and found == int(found) and 0 < found <= MAX_SIDE else 0


def is_finite(value: Any) -> bool:
    """Tell whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15


def is_box(value: Any) -> bool:
    """Tell whether a value is a box as COCO has it."""
    return isinstance(value, list) and len(value) == 4 and all(map(is_finite, value))


def read_box(value: Any) -> Box | None:
    """Return a box whose numbers may be strings, None if the value is none."""
    if not isinstance(value, list) or len(value) != 4:
        return None
    x, y, width, height = map(number_of, value)
    return None if x is None or y is None or width is None or height is None else (x, y, width, height)


def is_missing_box(value: Any) -> bool:
    """Tell whether a program wrote this in place of a box that it does not have."""
    return value is None or value == [] or (is_box(value) and not any(value))


def outline_bounds(segmentation: Any) -> Box | None:
    """Return the box around polygons or an RLE mask, None if there are none."""
    if isinstance(segmentation, dict):
        return _rle_bounds(segmentation)
    if not isinstance(segmentation, list):
        return None
    polygons = [segmentation] if all(map(is_finite, segmentation)) else segmentation
    xs: list[float] = []
    ys: list[float] = []
    for polygon in polygons:
        if isinstance(polygon, list) and len(polygon) % 2 == 0 and all(map(is_finite, polygon)):
            xs += polygon[::2]
            ys += polygon[1::2]
    if not xs:
        return None
    return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)


def _rle_bounds(rle: dict[str, Any]) -> Box | None:
    from pycocotools import mask

    size, counts = rle.get("size"), rle.get("counts")
    if not (isinstance(size, list) and len(size) == 2 and all(type(one) is int and 0 < one < 1 << 16 for one in size)):
        return None
    height, width = size
    try:
        if isinstance(counts, list):
            if any(type(run) is not int or run < 0 for run in counts) or sum(counts) > height * width:
                return None
            rle = mask.frPyObjects({"size": size, "counts": counts}, height, width)
        elif isinstance(counts, str):
            rle = {"size": size, "counts": counts.encode()}
        else:
            return None
        x, y, wide, high = (float(one) for one in mask.toBbox(rle))
    except (ValueError, TypeError, UnicodeError):
        return None
    fits = math.isfinite(x + y + wide + high) and min(x, y) >= 0 and x + wide <= width and y + high <= height
    return (x, y, wide, high) if fits else None
