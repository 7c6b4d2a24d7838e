"""Label files of YOLO: a line for each object, with its class and its box as fractions of the image's size.

    class centre_x centre_y width height [confidence]        a box
    class x1 y1 x2 y2 x3 y3 …                                a polygon, or the four corners of a rotated box
    class centre_x centre_y width height x1 y1 [v1] …        a box with keypoints

Source: the Ultralytics documentation, data set formats for detection, segmentation, oriented boxes and poses.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from data_prep.detection.formats.bounds import Box, number, of_pairs

WRONG_COLUMNS = "its line does not hold a class and a box or a polygon"
NOT_NUMBERS = "its line holds something other than numbers"
UNKNOWN_CLASS = "its class is not among the names of the classes"
NOT_FRACTIONS = "its coordinates are not fractions of the image's size"

_MAX_FRACTION = 2.0  # boxes may overshoot the image, but pixels are larger
_BOX_COLUMNS = 4
_MAX_CLASSES = 1_000_000


class Keypoints(NamedTuple):
    """The shape of the keypoints of each object: how many points, and 2 or 3 numbers for each."""

    points: int
    numbers: int


class LabelLineError(ValueError):
    """A line cannot be used. The message is the reason."""


class Label(NamedTuple):
    """An object of a label file. box: fractions of the image. has_confidence: a prediction, it seems."""

    class_number: int
    box: Box
    has_confidence: bool


def split_lines(text: str) -> list[tuple[int, str]]:
    """Return the lines of a label file that are not blank, with their numbers from 1."""
    return [(place, line) for place, line in enumerate(text.split("\n"), 1) if line.strip()]


def parse_line(line: str, names: Mapping[int, str], keypoints: Keypoints | None = None) -> Label:
    """Read a line. Raises LabelLineError.

    Args:
        line: with blanks, tabs or commas between the columns.
        names: class number → name; a class may also stand in the file by name. Empty: any class number is good.
        keypoints: their shape; None if it is unknown.
    """
    columns = line.replace(",", " ").split()
    values = [number(column) for column in columns[1:]]
    if any(map(math.isnan, values)):
        raise LabelLineError(NOT_NUMBERS)
    box, has_confidence = _box(values, keypoints)
    return Label(_class_number(columns[0], names), box, has_confidence)


def _class_number(text: str, names: Mapping[int, str]) -> int:
    value = number(text)
    if value.is_integer() and 0 <= value < _MAX_CLASSES:
        if names and int(value) not in names:
            raise LabelLineError(UNKNOWN_CLASS)
        return int(value)
    for known, name in names.items():
        if name == text:
            return known
    raise LabelLineError(UNKNOWN_CLASS if names else NOT_NUMBERS)


def _box(values: Sequence[float], keypoints: Keypoints | None) -> tuple[Box, bool]:
    """Return the box of the columns after the class, and whether there is a confidence."""
    if (keypoints and len(values) == _BOX_COLUMNS + keypoints.points * keypoints.numbers) or _is_pose(values):
        values = values[:_BOX_COLUMNS]
    has_confidence = len(values) % 2 == 1
    if has_confidence and not 0 <= values[-1] <= 1:
        raise LabelLineError(WRONG_COLUMNS)
    values = values[:-1] if has_confidence else values
    if any(abs(value) > _MAX_FRACTION for value in values):  # infinite values, too
        raise LabelLineError(NOT_FRACTIONS)
    if len(values) == _BOX_COLUMNS:
        x, y, width, height = values
        return (x - width / 2, y - height / 2, width, height), has_confidence
    box = of_pairs(values) if len(values) > _BOX_COLUMNS else None
    if box is None:
        raise LabelLineError(WRONG_COLUMNS)
    return box, has_confidence


def _is_pose(values: Sequence[float]) -> bool:
    """Tell whether a box and keypoints with visibilities stand in a row whose length is not that of a polygon."""
    points = values[_BOX_COLUMNS:]
    return len(values) % 2 == 1 and len(points) % 3 == 0 and all(value in (0, 1, 2) for value in points[2::3])
