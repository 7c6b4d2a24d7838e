"""Reads COCO annotation files in little memory, and mends what is certain."""

from __future__ import annotations

import math
import os
from array import array
from collections.abc import Callable, Iterable
from typing import IO, Any

import numpy as np

from data_prep.detection.entry_values import (
    FIRST_NAMED_ID,
    Box,
    Ids,
    is_box,
    is_missing_box,
    number_of,
    outline_bounds,
    read_box,
    side,
    text,
)
from data_prep.detection.json_stream import START, NotJsonError, members
from data_prep.detection.layout import Entries
from data_prep.files.file_list import take
from mnasnet_cli.errors import DataError, os_error_reason
from mnasnet_cli.records.findings import Finding, Findings
from mnasnet_cli.system.documents import is_text, shorten

REQUIRED_KEYS = ("images", "annotations", "categories")
MAX_NAME = 1000
"""Letters of a category: a longer one is no name, and drawing 100,000 letters takes a minute."""
NO_AREA = math.nan  # the area of an annotation without one
NO_ID = -(1 << 63)  # the id of an annotation without one

UNKNOWN_IMAGE = "its image is not in the file"
UNKNOWN_CATEGORY = "its category is not in the file"
DUPLICATE_IMAGE = "another image has the same id"
SHARED_IMAGE = "several images have the id of its image"
MISSING_IDS = "it has no 'image_id' or no 'category_id'"
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


def _can_be_a_file(name: str) -> bool:
    try:
        return b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:  # half a surrogate pair
        return False


class AnnotationFile:
    """The content of an annotation file, in its order.

    categories, supercategories: id → name. Images: image_ids, image_names, widths and heights in px, 0 if unknown.
    Annotations: ids, image ids and category ids in annotation_ids, annotation_images and annotation_categories; boxes
    (four numbers each: x, y, width, height in px), areas in px² or NO_AREA, crowds. faults: entries that cannot be
    used. shared_ids: image ids of several images, which are left out. findings: what was mended, and what the reader of
    the format found.
    """

    def __init__(self) -> None:
        self.categories: dict[int, str] = {}
        self.supercategories: dict[int, str] = {}
        self.image_ids, self.widths, self.heights = array("q"), array("i"), array("i")
        self.image_names: list[str] = []
        self.annotation_ids = array("q")
        self.annotation_images, self.annotation_categories = array("q"), array("q")
        self.boxes, self.areas, self.crowds = array("d"), array("d"), array("b")
        self.faults: list[Fault] = []
        self.shared_ids: set[int] = set()
        self.findings: list[Finding] = []
        self._mended = Findings()
        self._image_ids, self._category_ids, self._own_ids = Ids(), Ids(), Ids()

    def add_image(self, number: int, entry: Any) -> None:
        """Add element `number` of "images"."""
        name = text(entry, "file_name")
        image_id = self._image_ids.read(entry.get("id")) if name else None
        if image_id is None or not name:
            raise NotCocoError(f"entry {number} of 'images' has no 'id' or no 'file_name'")
        if not _can_be_a_file(name):
            raise NotCocoError(f"entry {number} of 'images' has a 'file_name' that no file can have: {shorten(name)}")
        width, height = entry.get("width"), entry.get("height")
        if isinstance(width, str) or isinstance(height, str):
            self._mended.mended("image-size-as-text", "images had a width and height in quotes", example=name)
        self.image_ids.append(image_id)
        self.image_names.append(name)
        self.widths.append(side(width))
        self.heights.append(side(height))

    def add_category(self, number: int, entry: Any) -> None:
        """Add element `number` of "categories"."""
        category_id = self._category_ids.read(entry.get("id")) if isinstance(entry, dict) else None
        name = text(entry, "name")
        if name is None and isinstance(entry, dict) and type(entry.get("name")) is int:
            name = str(entry["name"])
        if category_id is None or name is None:
            raise NotCocoError(f"entry {number} of 'categories' has no 'id' or no 'name'")
        if not is_text(name):
            raise NotCocoError(f"the name of category {entry['id']} contains half a surrogate pair")
        if len(name) > MAX_NAME:
            raise NotCocoError(f"the name of category {entry['id']} has {len(name):,} letters, expected a short name")
        name = " ".join(name.split())  # each is one line of labels.txt
        if self.categories.setdefault(category_id, name) != name:
            raise NotCocoError(f"two categories have the id {entry['id']}")
        if category_id in self.supercategories:
            self._mended.mended("repeated-category", "categories were listed again", example=name)
        self.supercategories[category_id] = text(entry, "supercategory") or ""

    def add_annotation(self, number: int, entry: Any) -> None:
        """Add element `number` of "annotations"."""
        if not isinstance(entry, dict):
            self.faults.append(Fault(MISSING_IDS, None, f"#{number}"))
            return
        image, category = self._image_ids.read(entry.get("image_id")), self._category_ids.read(entry.get("category_id"))
        own_id = self._own_ids.read(entry.get("id"))
        shown = f"#{number}" if own_id is None else entry["id"]
        if image is None or category is None:
            self.faults.append(Fault(MISSING_IDS, image, shown))
            return
        box: Any = entry.get("bbox")
        if not is_box(box) or not any(box):
            box = self._mended_box(entry, f"annotation {shown}")
            if box is None:
                self.faults.append(Fault(INVALID_BOX, entry["image_id"], shown))
                return
        area = number_of(entry.get("area"))
        self.annotation_ids.append(NO_ID if own_id is None else own_id)
        self.annotation_images.append(image)
        self.annotation_categories.append(category)
        self.boxes.extend(box)
        self.areas.append(area if area is not None and area > 0 else NO_AREA)
        self.crowds.append(entry.get("iscrowd") in (1, True, "1", "true", "True"))

    def _mended_box(self, entry: dict[str, Any], example: str) -> Box | None:
        """Return the box of an annotation that has none in COCO's form, None if it cannot be known."""
        value = entry.get("bbox")
        if is_missing_box(value):
            if bounds := outline_bounds(entry.get("segmentation")):
                message = "annotations had no box; it was taken from their outline"
                self._mended.mended("box-from-outline", message, example=example)
                return bounds
        elif box := read_box(value):
            self._mended.mended("box-as-text", "boxes had numbers in quotes", example=example)
            return box
        return read_box(value)

    def add_fault(self, number: int, fault: Fault) -> None:
        """Add what the reader of a format left out."""
        self.faults.append(fault)

    def add_finding(self, number: int, finding: Finding) -> None:
        """Add what the reader of a format found odd."""
        self.findings.append(finding)

    def fault(self, reason: str, row: int) -> Fault:
        """Return a fault of an annotation, with the ids as they are in the file."""
        image, own_id = self.annotation_images[row], self.annotation_ids[row]
        return Fault(reason, self._image_ids.shown(image), self._own_ids.shown(own_id))

    def finish(self) -> None:
        """Number what has no id, or one that is not its own, after all entries are added."""
        strings = sum(ids.digit_strings for ids in (self._image_ids, self._category_ids, self._own_ids))
        self._mended.mended("ids-as-text", "ids were digits in quotes", count=strings)
        self._number_named_ids()
        self._separate_images()
        self._number_annotations()
        self.findings += self._mended

    def _number_named_ids(self) -> None:
        """Give image ids and category ids that are names the numbers after the largest id, in their order."""
        known = set(self.image_ids)
        if numbers := _numbers(self._image_ids, known):
            for column in (self.image_ids, self.annotation_images):
                column[:] = array("q", (numbers.get(one, one) for one in column))
            message = "image ids were not numbers, and were numbered"
            self._mended.mended("named-image-ids", message, count=len(numbers), example=min(self._image_ids.names))
        if numbers := _numbers(self._category_ids, set(self.categories)):
            for names in (self.categories, self.supercategories):
                items = [(numbers.get(key, key), name) for key, name in names.items()]
                names.clear()
                names.update(items)
            column = self.annotation_categories
            column[:] = array("q", (numbers.get(one, one) for one in column))
            message = "category ids were not numbers, and were numbered"
            self._mended.mended(
                "named-category-ids", message, count=len(numbers), example=min(self._category_ids.names)
            )

    def _separate_images(self) -> None:
        """Leave out repeated entries of images, and images that share their id with another one."""
        if len(set(self.image_ids)) == len(self.image_ids):
            return
        names: dict[int, set[str]] = {}
        for image_id, name in zip(self.image_ids, self.image_names, strict=True):
            names.setdefault(image_id, set()).add(name)
        self.shared_ids = {image_id for image_id, found in names.items() if len(found) > 1}
        kept, seen = [], set()
        for number, image_id in enumerate(self.image_ids):
            if image_id in self.shared_ids:
                self.faults.append(Fault(DUPLICATE_IMAGE, f"{image_id} ({self.image_names[number]})"))
            elif image_id in seen:
                message = "images were listed again under the same id"
                self._mended.mended("repeated-image", message, example=self.image_names[number])
            else:
                seen.add(image_id)
                kept.append(number)
        self.keep_images(np.asarray(kept, np.int64))

    def keep_images(self, numbers: np.ndarray) -> None:
        """Leave out all other images, but not their annotations."""
        for name in ("image_ids", "widths", "heights"):
            setattr(self, name, take(getattr(self, name), numbers))
        self.image_names = [self.image_names[number] for number in numbers.tolist()]

    def keep_annotations(self, numbers: np.ndarray) -> None:
        """Leave out all other annotations."""
        boxes = self.xywh[numbers]
        for name in ("annotation_ids", "annotation_images", "annotation_categories", "areas", "crowds"):
            setattr(self, name, take(getattr(self, name), numbers))
        self.boxes = array("d", boxes.tobytes())

    @property
    def xywh(self) -> np.ndarray:
        """The boxes: float64 [annotations, 4]."""
        return np.asarray(self.boxes, np.float64).reshape(-1, 4)

    def places(self) -> np.ndarray:
        """Return image, category and box of each annotation as int64 [annotations, 6], to compare them."""
        columns = (np.asarray(column, np.int64) for column in (self.annotation_images, self.annotation_categories))
        return np.column_stack([*columns, self.xywh.view(np.int64)])

    def _number_annotations(self) -> None:
        """Number annotations without an id or with one that occurs twice, and leave out those that are repeated."""
        ids = np.asarray(self.annotation_ids, np.int64)
        if not len(ids):
            return
        if (repeated := is_repeated(ids) & (ids != NO_ID)).any():
            again = repeated & is_repeated(np.column_stack([ids, self.places()]))
            first = int(ids[again][0]) if again.any() else 0
            self._mended.mended(
                "repeated-annotation", "annotations were listed again word for word", count=int(again.sum()),
                example=str(self._own_ids.shown(first)),
            )  # fmt: skip
            self.keep_annotations(np.flatnonzero(~again))
            ids, repeated = ids[~again], repeated[~again]
        missing = ids == NO_ID
        first_row = int(missing.argmax())
        self._mended.mended(
            "annotation-without-id", "annotations had no id and were numbered", count=int(missing.sum()),
            example=f"#{first_row}",
        )  # fmt: skip
        if repeated.any():
            self._mended.mended(
                "annotation-id-twice", "annotations had the id of another one and were numbered",
                count=int(repeated.sum()), example=str(self._own_ids.shown(int(ids[repeated][0]))),
            )  # fmt: skip
        new = missing | repeated
        start = int(ids[~new & (ids < FIRST_NAMED_ID)].max(initial=0)) + 1
        for number, row in enumerate(np.flatnonzero(new).tolist(), start):
            self.annotation_ids[row] = number


def _numbers(ids: Ids, known: Iterable[int]) -> dict[int, int]:
    """Return the number for each id that is a name: they follow the largest number that is an id, sorted by name."""
    known = set(known)
    named = sorted(name for name, number in ids.names.items() if number in known)
    start = max((one for one in known if one < FIRST_NAMED_ID), default=0) + 1
    return {ids.names[name]: number for number, name in enumerate(named, start)}


def is_repeated(rows: np.ndarray) -> np.ndarray:
    """Return which of the values [n] or int64 rows [n, m] occurred before: bool [n]."""
    if rows.ndim == 1:
        _, first = np.unique(rows, return_index=True)
        repeated = np.ones(len(rows), bool)
        repeated[first] = False
        return repeated
    factors = np.asarray([pow(0x9E3779B97F4A7C15, power, 1 << 64) for power in range(1, rows.shape[1] + 1)], np.uint64)
    _, inverse, counts = np.unique((rows.view(np.uint64) * factors).sum(1), return_inverse=True, return_counts=True)
    candidates = np.flatnonzero(counts[inverse] > 1)  # few: comparing whole rows takes ten times as long
    repeated = np.zeros(len(rows), bool)
    if len(candidates):
        _, first = np.unique(rows[candidates], axis=0, return_index=True)
        repeated[candidates] = True
        repeated[candidates[first]] = False
    return repeated


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
    result.finish()
    for key in REQUIRED_KEYS:
        if key not in seen:
            raise DataError(f"{name} is not a COCO annotation file: it has no '{key}'")
    if result.shared_ids and not result.image_names:
        raise DataError(f"{name}: several images have the id {min(result.shared_ids)}; give each image its own id")
    for key, found in (("images", result.image_names), ("categories", result.categories)):
        if not found:
            raise DataError(f"{name} contains no {key}")
    return result
