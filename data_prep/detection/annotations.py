"""Reads COCO annotation files in little memory, and checks every box."""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from data_prep.detection.json_stream import START, NotJsonError, members
from data_prep.detection.layout import Entries
from mnasnet_cli.errors import DataError, os_error_reason
from mnasnet_cli.records.findings import Finding

REQUIRED_KEYS = ("images", "annotations", "categories")
NO_AREA = math.nan  # the area of an annotation without one
MAX_SIDE = (1 << 31) - 1  # px
CLIP_TOLERANCE = 1e-3  # px; COCO rounds to 0.01 px, and sums of such numbers differ by less than this

UNKNOWN_IMAGE = "its image is not in the file"
UNKNOWN_CATEGORY = "its category is not in the file"
DUPLICATE_IMAGE = "its image id occurs twice"
DUPLICATE_ANNOTATION = "its annotation id occurs twice"
MISSING_IDS = "its 'id', 'image_id' or 'category_id' is not an integer"
INVALID_BOX = "its 'bbox' is not four finite numbers"
NO_BOX_AREA = "its box has no area"
BOX_OUTSIDE = "its box lies outside the image"


class NotCocoError(ValueError):
    """The file is a JSON object, but not a COCO annotation file. The message says why."""


class Fault(dict[str, Any]):
    """An entry of an annotation file that is left out: its "annotation" or "image" id, and the "reason"."""

    def __init__(self, reason: str, image: object, annotation: object = None) -> None:
        ids = {"annotation": annotation} if annotation is not None else {}
        super().__init__({**ids, "image": image, "reason": reason})

    def __str__(self) -> str:
        return " of ".join(f"{kind} {self[kind]}" for kind in ("annotation", "image") if self.get(kind) is not None)


class AnnotationFile:
    """The content of an annotation file, in its order.

    categories: id → name. Images: image_ids, image_names, widths and heights in px. Annotations: ids, image ids and
    category ids in annotation_ids, annotation_images and annotation_categories; boxes (four numbers each: x, y, width,
    height in px), areas in px² or NO_AREA, crowds. faults: entries that cannot be read. findings: of the reader.
    """

    def __init__(self) -> None:
        self.categories: dict[int, str] = {}
        self.image_ids, self.widths, self.heights = array("q"), array("i"), array("i")
        self.image_names: list[str] = []
        self.annotation_ids = array("q")
        self.annotation_images, self.annotation_categories = array("q"), array("q")
        self.boxes, self.areas, self.crowds = array("d"), array("d"), array("b")
        self.faults: list[Fault] = []
        self.findings: list[Finding] = []
        self._known_images: set[int] = set()

    def add_image(self, number: int, entry: Any) -> None:
        """Add element `number` of "images"."""
        image_id, name = _integer(entry, "id"), _text(entry, "file_name")
        width, height = _integer(entry, "width"), _integer(entry, "height")
        if image_id is None or not name:
            raise NotCocoError(f"entry {number} of 'images' has no integer 'id' or no 'file_name'")
        if not width or not height or not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
            raise NotCocoError(f"image {image_id} ({name}) has no integer 'width' or 'height' in px")
        if image_id in self._known_images:
            self.faults.append(Fault(DUPLICATE_IMAGE, image_id))
            return
        self._known_images.add(image_id)
        self.image_ids.append(image_id)
        self.image_names.append(name)
        self.widths.append(width)
        self.heights.append(height)

    def add_category(self, number: int, entry: Any) -> None:
        """Add element `number` of "categories"."""
        category_id, name = _integer(entry, "id"), _text(entry, "name")
        if category_id is None or name is None:
            raise NotCocoError(f"entry {number} of 'categories' has no integer 'id' or no 'name'")
        if any(0xD800 <= ord(letter) <= 0xDFFF for letter in name):
            raise NotCocoError(f"the name of category {category_id} contains half a surrogate pair")
        if category_id in self.categories:
            raise NotCocoError(f"two categories have the id {category_id}")
        self.categories[category_id] = " ".join(name.split())  # each is one line of labels.txt

    def add_annotation(self, number: int, entry: Any) -> None:
        """Add element `number` of "annotations"."""
        image, category, own_id = (_integer(entry, key) for key in ("image_id", "category_id", "id"))
        if image is None or category is None or own_id is None:
            self.faults.append(Fault(MISSING_IDS, image, f"#{number}"))
            return
        box = entry.get("bbox")
        if not isinstance(box, list) or len(box) != 4 or not all(map(_is_finite, box)):
            self.faults.append(Fault(INVALID_BOX, image, own_id))
            return
        area = entry.get("area")
        self.annotation_ids.append(own_id)
        self.annotation_images.append(image)
        self.annotation_categories.append(category)
        self.boxes.extend(box)
        self.areas.append(area if _is_finite(area) and area > 0 else NO_AREA)
        self.crowds.append(entry.get("iscrowd") in (1, True))

    def add_fault(self, number: int, fault: Fault) -> None:
        """Add what the reader of a format left out."""
        self.faults.append(fault)

    def add_finding(self, number: int, finding: Finding) -> None:
        """Add what the reader of a format found odd."""
        self.findings.append(finding)


def json_entries(open_file: Callable[[], IO[bytes]]) -> Entries:
    """Yield the entries of a COCO annotation file."""
    with open_file() as file:
        yield from (entry for entry in members(file) if entry[0] in REQUIRED_KEYS)


def read_annotations(entries: Entries, name: str) -> AnnotationFile:
    """Read the entries of an annotation file. `name` is its name in messages.

    Raises DataError if it cannot be read or is not a COCO annotation file.
    """
    result = AnnotationFile()
    add: dict[str, Callable[[int, Any], None]] = {
        "images": result.add_image,
        "categories": result.add_category,
        "annotations": result.add_annotation,
        "faults": result.add_fault,
        "findings": result.add_finding,
    }
    seen = set()
    try:
        for key, number, value in entries:
            if key not in add:
                continue
            if number != START:
                add[key](number, value)
                continue
            if value is not list or key in seen:
                raise NotCocoError(f"'{key}' {'occurs twice' if key in seen else 'is not a list'}")
            seen.add(key)
    except NotJsonError as error:
        raise DataError(f"{name} is not a COCO annotation file: it is {error}") from None
    except NotCocoError as error:
        raise DataError(f"{name} is not a COCO annotation file: {error}") from None
    except OSError as error:
        raise DataError(f"cannot read {name}: {os_error_reason(error)}") from error
    except Exception as error:
        if type(error).__module__ not in ("zipfile", "zlib"):  # these modules are imported only to read a zip
            raise
        raise DataError(f"cannot read {name}: the zip is damaged ({str(error).lower()})") from error
    for key in REQUIRED_KEYS:
        if key not in seen:
            raise DataError(f"{name} is not a COCO annotation file: it has no '{key}'")
    for key, found in (("images", result.image_names), ("categories", result.categories)):
        if not found:
            raise DataError(f"{name} contains no {key}")
    return result


def _integer(entry: Any, key: str) -> int | None:
    """Return an int64 of an entry, None if it has none. A float such as 640.0 counts: some programs write it."""
    value = entry.get(key) if isinstance(entry, dict) else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and -(1 << 63) <= value < 1 << 63:
        return value
    return None


def _text(entry: Any, key: str) -> str | None:
    value = entry.get(key) if isinstance(entry, dict) else None
    return value if isinstance(value, str) else None


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15


@dataclass(frozen=True)
class Boxes:
    """The boxes of the images of one split, image by image.

    starts: [images + 1]; image i has the boxes starts[i]:starts[i + 1]. yxyx: float32 [m, 4], normalized to 0..1.
    labels: [m] 1..K. crowds, clipped: bool [m]. areas: float32 [m], px² of the object.
    """

    starts: np.ndarray
    yxyx: np.ndarray
    labels: np.ndarray
    crowds: np.ndarray
    clipped: np.ndarray
    areas: np.ndarray

    def select(self, images: np.ndarray) -> Boxes:
        """Return the boxes of some images, in the order of the numbers `images`."""
        counts = np.diff(self.starts)[images]
        ends = np.cumsum(counts)
        rows = np.arange(counts.sum()) + np.repeat(self.starts[images] - (ends - counts), counts)
        columns = (self.yxyx, self.labels, self.crowds, self.clipped, self.areas)
        return Boxes(np.append(0, ends), *(column[rows] for column in columns))

    def digest(self) -> str:
        """Return a SHA-256 of what goes into the records."""
        columns = (self.starts, self.yxyx, self.labels, self.crowds, self.areas)
        return hashlib.sha256(b"".join(column.tobytes() for column in columns)).hexdigest()


def check_boxes(file: AnnotationFile, order: np.ndarray, labels: Mapping[int, int]) -> tuple[Boxes, list[Fault]]:
    """Return the usable boxes, and one fault for each other annotation: the first that applies.

    Args:
        file: the annotations.
        order: [images], the numbers of the images in the wanted order.
        labels: category id → label.
    """
    ids = np.asarray(file.annotation_ids, np.int64)
    image, image_is_known = _find(np.asarray(file.image_ids, np.int64)[order], file.annotation_images)
    category_ids = np.asarray(sorted(labels), np.int64)
    category, category_is_known = _find(category_ids, file.annotation_categories)

    xywh = np.asarray(file.boxes, np.float64).reshape(-1, 4)
    x, y, box_width, box_height = xywh.T
    width = np.asarray(file.widths, np.float64)[order][image]
    height = np.asarray(file.heights, np.float64)[order][image]
    image_sides = np.stack([height, width, height, width], 1)
    yxyx_px = np.stack([y, x, y + box_height, x + box_width], 1)
    clipped_px = np.clip(yxyx_px, 0, image_sides)
    yxyx = (clipped_px / image_sides).astype(np.float32)

    reasons: tuple[tuple[str, Any], ...] = (  # Any: mypy takes comparisons for single booleans
        (DUPLICATE_ANNOTATION, _is_repeated(ids)),
        (UNKNOWN_IMAGE, ~image_is_known),
        (UNKNOWN_CATEGORY, ~category_is_known),
        (NO_BOX_AREA, (box_width <= 0) | (box_height <= 0)),
        (BOX_OUTSIDE, (clipped_px[:, 2:] <= clipped_px[:, :2]).any(1)),
        (NO_BOX_AREA, (yxyx[:, 2:] <= yxyx[:, :2]).any(1)),  # too thin for float32
    )
    usable = np.ones(len(ids), bool)
    faults: dict[int, str] = {}
    for reason, wrong in reasons:
        faults.update(dict.fromkeys(np.flatnonzero(wrong & usable).tolist(), reason))
        usable &= ~wrong

    rows = np.flatnonzero(usable)
    rows = rows[np.argsort(image[rows], kind="stable")]
    areas, box_areas = np.asarray(file.areas, np.float64)[rows], np.prod(clipped_px[:, 2:] - clipped_px[:, :2], 1)[rows]
    category_labels = np.asarray([labels[category_id] for category_id in sorted(labels)], np.int32)
    boxes = Boxes(
        starts=np.searchsorted(image[rows], np.arange(len(order) + 1)),
        yxyx=yxyx[rows],
        labels=category_labels[category[rows]],
        crowds=np.asarray(file.crowds, bool)[rows],
        clipped=np.any(np.abs(yxyx_px - clipped_px)[rows] > CLIP_TOLERANCE, axis=1),
        areas=np.where(np.isnan(areas), box_areas, areas).astype(np.float32),
    )
    found = [Fault(faults[row], file.annotation_images[row], file.annotation_ids[row]) for row in sorted(faults)]
    return boxes, [*file.faults, *found]


def _find(values: np.ndarray, wanted: array[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the index in `values` of each wanted value, and whether it is there: int64 [n] and bool [n].

    The values are distinct and at least one. The index of a value that is not there is arbitrary.
    """
    sorter = np.argsort(values, kind="stable")
    position = np.searchsorted(values, wanted, sorter=sorter).clip(max=len(values) - 1)
    index = sorter[position]
    return index, values[index] == np.asarray(wanted, np.int64)


def _is_repeated(ids: np.ndarray) -> np.ndarray:
    """Return which of the ids occurred before: bool [n]."""
    _, first = np.unique(ids, return_index=True)
    repeated = np.ones(len(ids), bool)
    repeated[first] = False
    return repeated
