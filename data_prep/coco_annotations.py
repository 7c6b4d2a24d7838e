"""COCO annotation files: read in little memory, and checked box by box."""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from data_prep.json_stream import START, NotJsonError, members
from mnasnet_cli.errors import DataError

NEEDED = ("images", "annotations", "categories")
NO_AREA = math.nan  # of an annotation that doesn't tell it
_LIMIT = 1 << 63


class Fault(dict[str, Any]):
    """An entry of an annotation file that is left out: its "annotation" or "image" id, and the "reason"."""

    def __init__(self, reason: str, image: object, annotation: object = None) -> None:
        ids = {"annotation": annotation} if annotation is not None else {}
        super().__init__({**ids, "image": image, "reason": reason})

    def __str__(self) -> str:
        return " of ".join(f"{kind} {self[kind]}" for kind in ("annotation", "image") if self.get(kind) is not None)


class AnnotationFile:
    """What an annotation file holds, as it stands there, in its order.

    categories: id → name. image_names: as written. boxes: 4 numbers each, x y width height in px.
    areas: px², NO_AREA where there is none. faults: entries that cannot be read.
    """

    def __init__(self) -> None:
        self.categories: dict[int, str] = {}
        self.image_ids, self.widths, self.heights = array("q"), array("i"), array("i")
        self.image_names: list[str] = []
        self.ids, self.of_images, self.of_categories = array("q"), array("q"), array("q")
        self.boxes, self.areas, self.crowds = array("d"), array("d"), array("b")
        self.faults: list[Fault] = []
        self._seen: set[int] = set()

    def add_image(self, number: int, entry: Any) -> None:
        """Note an element of "images"."""
        number_of, name = _whole(entry, "id"), entry.get("file_name") if isinstance(entry, dict) else None
        width, height = _whole(entry, "width"), _whole(entry, "height")
        if number_of is None or not isinstance(name, str) or not name:
            raise NotJsonError(f"not COCO's: entry {number} of 'images' lacks a whole number 'id' or a 'file_name'")
        if not width or not height or not (0 < width < 1 << 31 and 0 < height < 1 << 31):
            raise NotJsonError(f"not COCO's: image {number_of} ({name}) lacks 'width' or 'height' in whole pixels")
        if number_of in self._seen:
            self.faults.append(Fault("its image id occurs twice", number_of))
            return
        self._seen.add(number_of)
        self.image_ids.append(number_of)
        self.image_names.append(name)
        self.widths.append(width)
        self.heights.append(height)

    def add_category(self, number: int, entry: Any) -> None:
        """Note an element of "categories"."""
        number_of, name = _whole(entry, "id"), entry.get("name") if isinstance(entry, dict) else None
        if number_of is None or not isinstance(name, str):
            raise NotJsonError(f"not COCO's: entry {number} of 'categories' lacks a whole number 'id' or a 'name'")
        if any(0xD800 <= ord(letter) <= 0xDFFF for letter in name):
            raise NotJsonError(f"not COCO's: the name of category {number_of} holds half a surrogate pair")
        if number_of in self.categories:
            raise NotJsonError(f"not COCO's: two categories have the id {number_of}")
        self.categories[number_of] = " ".join(name.split())  # it goes into lines of labels.txt

    def add_annotation(self, number: int, entry: Any) -> None:
        """Note an element of "annotations"."""
        image, category, own = (_whole(entry, key) for key in ("image_id", "category_id", "id"))
        if image is None or category is None or own is None:
            self.faults.append(Fault("it lacks a whole number 'id', 'image_id' or 'category_id'", image, f"#{number}"))
            return
        box = entry.get("bbox")
        if not isinstance(box, list) or len(box) != 4 or not all(map(_finite, box)):
            self.faults.append(Fault("its 'bbox' is not four finite numbers", image, own))
            return
        area = entry.get("area")
        self.ids.append(own)
        self.of_images.append(image)
        self.of_categories.append(category)
        self.boxes.extend(box)
        self.areas.append(area if _finite(area) and area > 0 else NO_AREA)
        self.crowds.append(entry.get("iscrowd") in (1, True))


def read_annotations(open_file: Callable[[], IO[bytes]], name: str) -> AnnotationFile:
    """Read an annotation file. Raises DataError where it cannot be read or is not COCO's; `name` is for that."""
    result = AnnotationFile()
    add = {"images": result.add_image, "categories": result.add_category, "annotations": result.add_annotation}
    seen = set()
    try:
        with open_file() as file:
            for key, number, value in members(file):
                if key in add and number != START:
                    add[key](number, value)
                elif key in add:
                    if value is not list or key in seen:
                        raise NotJsonError(f"not COCO's: '{key}' is {'there twice' if key in seen else 'no list'}")
                    seen.add(key)
    except NotJsonError as error:
        raise DataError(f"{name} is not a COCO annotation file: it is {error}") from None
    except OSError as error:
        raise DataError(f"cannot read {name}: {(error.strerror or str(error)).lower()}") from error
    except Exception as error:
        if type(error).__module__ not in ("zipfile", "zlib"):  # imported only where a zip is read
            raise
        raise DataError(f"cannot read {name}: the zip is damaged ({str(error).lower()})") from error
    missing = [key for key in NEEDED if key not in seen]
    if missing:
        raise DataError(f"{name} is not a COCO annotation file: it has no '{missing[0]}'")
    for key, found in (("images", result.image_names), ("categories", result.categories)):
        if not found:
            raise DataError(f"{name} lists no {key}")
    return result


def _whole(entry: Any, key: str) -> int | None:
    """Return a whole number of an entry, None where it has none (some programs write 640.0, which is one)."""
    value = entry.get(key) if isinstance(entry, dict) else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and -_LIMIT <= value < _LIMIT:
        return value
    return None


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15


TOLERANCE = 1e-3  # px; COCO's boxes are rounded to 0.01 px, sums of such numbers overshoot by less
UNKNOWN_IMAGE = "its image is not in the file"
UNKNOWN_CATEGORY = "its category is not in the file"
DUPLICATE = "its annotation id occurs twice"
NO_BOX_AREA = "its box has no area"
OUTSIDE = "its box lies outside the image"


@dataclass(frozen=True)
class Boxes:
    """The boxes of the images of one split, image by image.

    starts: [images + 1], image i has boxes starts[i]:starts[i + 1]. yxyx: float32 [m, 4], normalised.
    labels: [m] 1..K. crowds, clipped: bool [m]. areas: float32 [m], px² of the object.
    """

    starts: np.ndarray
    yxyx: np.ndarray
    labels: np.ndarray
    crowds: np.ndarray
    clipped: np.ndarray
    areas: np.ndarray

    def digest(self) -> str:
        """Return a hash of all that goes into records."""
        parts = (self.starts, self.yxyx, self.labels, self.crowds, self.areas)
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def check_boxes(file: AnnotationFile, order: np.ndarray, labels: Mapping[int, int]) -> tuple[Boxes, list[Fault]]:
    """Return the usable boxes, and what is wrong with the others; each has one fault, the first that applies.

    Args:
        order: numbers of the images, in the order that is wanted.
        labels: category id → label.
    """
    ids, image_ids = np.asarray(file.ids, np.int64), np.asarray(file.image_ids, np.int64)[order]
    of_images, of_categories = np.asarray(file.of_images, np.int64), np.asarray(file.of_categories, np.int64)
    known = np.sort(image_ids)
    image = np.searchsorted(known, of_images).clip(max=len(known) - 1)
    found = known[image] == of_images
    image = np.argsort(image_ids, kind="stable")[image]  # place in `order`
    categories = np.asarray(sorted(labels), np.int64)
    category = np.searchsorted(categories, of_categories).clip(max=len(categories) - 1)
    xywh = np.asarray(file.boxes, np.float64).reshape(-1, 4)
    width = np.asarray(file.widths, np.float64)[order][image]
    height = np.asarray(file.heights, np.float64)[order][image]
    sides = np.stack([xywh[:, 1], xywh[:, 0], xywh[:, 1] + xywh[:, 3], xywh[:, 0] + xywh[:, 2]], 1)
    inside = np.clip(sides, 0, np.stack([height, width, height, width], 1))
    yxyx = (inside / np.stack([height, width, height, width], 1)).astype(np.float32)
    reasons: tuple[tuple[str, Any], ...] = (  # Any: mypy takes comparisons for single flags
        (DUPLICATE, _repeated(ids)),
        (UNKNOWN_IMAGE, ~found),
        (UNKNOWN_CATEGORY, categories[category] != of_categories),
        (NO_BOX_AREA, (xywh[:, 2:] <= 0).any(1)),
        (OUTSIDE, (inside[:, 2:] <= inside[:, :2]).any(1)),
        (NO_BOX_AREA, (yxyx[:, 2:] <= yxyx[:, :2]).any(1)),  # too thin for a record's numbers
    )
    good = np.ones(len(ids), bool)
    faults: dict[int, str] = {}
    for reason, wrong in reasons:
        faults.update(dict.fromkeys(np.flatnonzero(wrong & good).tolist(), reason))
        good &= ~wrong
    rows = np.flatnonzero(good)
    rows = rows[np.argsort(image[rows], kind="stable")]
    areas, own = np.asarray(file.areas, np.float64)[rows], np.prod(inside[:, 2:] - inside[:, :2], 1)[rows]
    label_of = np.asarray([labels[one] for one in sorted(labels)], np.int32)
    boxes = Boxes(
        starts=np.searchsorted(image[rows], np.arange(len(order) + 1)),
        yxyx=yxyx[rows],
        labels=label_of[category[rows]],
        crowds=np.asarray(file.crowds, bool)[rows],
        clipped=np.any(np.abs(sides - inside)[rows] > TOLERANCE, axis=1),
        areas=np.where(np.isnan(areas), own, areas).astype(np.float32),
    )
    listed = [Fault(faults[row], file.of_images[row], file.ids[row]) for row in sorted(faults)]
    return boxes, [*file.faults, *listed]


def _repeated(ids: np.ndarray) -> np.ndarray:
    """Return which of the ids occurred before: bool [n]."""
    _, first = np.unique(ids, return_index=True)
    repeated = np.ones(len(ids), bool)
    repeated[first] = False
    return repeated
