"""Read a COCO annotation file into arrays: about 60 bytes an annotation, the outlines are dropped on the way."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable
from typing import IO, Any

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
