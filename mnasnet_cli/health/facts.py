"""Facts of the images of one record shard, in columns: about 20 bytes for an image and 17 for a box.

Preparation collects them while it writes records, and a scan collects them from records that exist.
"""

from __future__ import annotations

import base64
import sys
import zlib
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import google_crc32c

from mnasnet_cli.health.blank import is_blank

IMAGE_COLUMNS = {
    "crc": "I",  # CRC-32C of the encoded image
    "size": "I",  # bytes of the encoded image
    "width": "H",  # px
    "height": "H",  # px
    "channels": "B",
    "label": "i",  # the class of the image, NO_LABEL if it has none
    "boxes": "i",  # their number, NO_BOXES if the record has no box keys
}
BOX_COLUMNS = {
    "box_label": "i",
    "box_width": "f",  # fraction of the image's width, after clipping to the image
    "box_height": "f",
    "box_area": "f",  # px²; of the object's outline if there is one, as in COCO
    "box_crowd": "B",
}
COLUMNS = IMAGE_COLUMNS | BOX_COLUMNS
NO_LABEL = -1
NO_BOXES = -1
LARGEST_SIDE = 65_535  # px; larger sides are stored as this


class ImageBoxes(NamedTuple):
    """The boxes of one image: n × (ymin, xmin, ymax, xmax) in [0, 1], n labels, n crowd flags, n areas in px²."""

    yxyx: Sequence[Sequence[float]]
    labels: Sequence[int]
    crowds: Sequence[int]
    areas: Sequence[float]


class Facts:
    """Facts of the images of one shard, in the order of the records.

    columns: name → array; see COLUMNS. The boxes of all images are in one list.
    problems: code → [count, number of the first image], of what is odd in single records.
    names: label → name of the class, where the records have names.
    """

    def __init__(self) -> None:
        self.columns: dict[str, array[Any]] = {name: array(code) for name, code in COLUMNS.items()}
        self.problems: dict[str, list[int]] = {}
        self.names: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.columns["crc"])

    def add(
        self, encoded: bytes, width: int, height: int, channels: int, label: int, boxes: ImageBoxes | None = None
    ) -> None:
        """Add an image: its encoded bytes, size in px, class or NO_LABEL, and boxes, None if it cannot have any."""
        if is_blank(encoded, width, height):
            self.add_problem("blank-image", len(self))
        columns = self.columns
        columns["crc"].append(google_crc32c.value(encoded))
        columns["size"].append(len(encoded))
        columns["width"].append(min(width, LARGEST_SIDE))
        columns["height"].append(min(height, LARGEST_SIDE))
        columns["channels"].append(channels)
        columns["label"].append(label)
        columns["boxes"].append(NO_BOXES if boxes is None else len(boxes.labels))
        if boxes:
            self._add_boxes(boxes)

    def _add_boxes(self, boxes: ImageBoxes) -> None:
        columns = self.columns
        columns["box_label"].extend(boxes.labels)
        columns["box_area"].extend(boxes.areas)
        columns["box_crowd"].extend(map(bool, boxes.crowds))
        for ymin, xmin, ymax, xmax in boxes.yxyx:
            columns["box_height"].append(min(ymax, 1.0) - max(ymin, 0.0))
            columns["box_width"].append(min(xmax, 1.0) - max(xmin, 0.0))

    def add_problem(self, code: str, number: int, count: int = 1) -> None:
        """Count something that is wrong with the image `number`."""
        self.problems.setdefault(code, [0, number])[0] += count

    def extend(self, other: Facts) -> None:
        """Append the facts of the images that follow. Labels must have the same meaning."""
        self.names = other.names | self.names
        for code, (count, number) in other.problems.items():
            self.add_problem(code, len(self) + number, count)
        for name, column in self.columns.items():
            column.extend(other.columns[name])

    def relabel_boxes(self, label: Callable[[int], int]) -> None:
        """Replace the labels of all boxes."""
        column = self.columns["box_label"]
        column[:] = array(column.typecode, map(label, column))

    def box_ranges(self) -> Iterator[tuple[int, int]]:
        """Yield the half-open range of each image's boxes within the box columns."""
        end = 0
        for count in self.columns["boxes"]:
            start, end = end, end + max(count, 0)
            yield start, end

    def to_json(self) -> dict[str, Any]:
        """Return the facts without names, as a journal holds them: columns are compressed and in base64."""
        packed = {name: _pack(column) for name, column in self.columns.items() if column}
        return packed | ({"problems": self.problems} if self.problems else {})

    @classmethod
    def parse(cls, stored: Mapping[str, Any]) -> Facts:
        """Read what `to_json` returned. Raises ValueError if it is damaged."""
        facts = cls()
        try:
            for name, column in facts.columns.items():
                if name in stored:
                    _unpack(stored[name], column)
            facts.problems = {str(code): [int(count), int(number)]
                              for code, (count, number) in stored.get("problems", {}).items()}  # fmt: skip
        except (TypeError, AttributeError) as error:
            raise ValueError(f"damaged facts: {error}") from error
        lengths = {len(facts.columns[name]) for name in IMAGE_COLUMNS}
        if len(lengths) > 1:
            raise ValueError("the columns differ in length")
        if {len(facts.columns[name]) for name in BOX_COLUMNS} != {sum(max(n, 0) for n in facts.columns["boxes"])}:
            raise ValueError("the number of boxes differs between the columns")
        return facts


def _pack(column: array[Any]) -> str:
    return base64.b64encode(zlib.compress(_little_endian(column).tobytes(), 1)).decode()


def _unpack(text: str, column: array[Any]) -> None:
    try:
        column.frombytes(zlib.decompress(base64.b64decode(text, validate=True)))
    except zlib.error as error:
        raise ValueError(f"damaged column: {error}") from error
    column[:] = _little_endian(column)


def _little_endian(column: array[Any]) -> array[Any]:
    if sys.byteorder == "little":
        return column
    swapped = column[:]
    swapped.byteswap()
    return swapped
