"""Images with their objects, as the readers of all formats give them, and how they become COCO's entries."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, NamedTuple

from data_prep.detection.annotations import BOX_OUTSIDE, INVALID_BOX, NO_BOX_AREA, Fault
from data_prep.detection.formats.bounds import Box
from data_prep.detection.json_stream import START
from data_prep.detection.layout import AnnotatedImages, Entries, Layout
from data_prep.files.tree import Tree
from mnasnet_cli.errors import DataError
from mnasnet_cli.records.findings import Findings

_SUFFIXES = (".json", ".xml", ".csv", ".txt")  # .txt: lists of the images in each split
NO_CLASS = "it has no class"
SEVERAL_CLASSES = "it has several classes"
NO_BOX = "its shape has no box, like a point"


class LabelledObject(NamedTuple):
    """An object. category: its class, by name or by category id. box: in px. place: file and line, for messages."""

    category: str | int
    box: Box
    place: str


@dataclass
class LabelledImage:
    """An image with its objects.

    file_name: relative to the folder of the split, or as the annotations have it. width, height: px, None if unknown.
    is_listed: False if nothing is known of the image, so that it is left out.
    """

    file_name: str
    width: int | None = None
    height: int | None = None
    objects: list[LabelledObject] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    is_listed: bool = True

    def add(self, category: str | int, box: Box | None, place: str) -> None:
        """Add an object, or a fault if its box or class cannot be used. A box of None is not four finite numbers."""
        reason = NO_CLASS if category == "" else self._box_fault(box)
        if reason or box is None:
            self.fault(reason, place)
        else:
            self.objects.append(LabelledObject(category, box, place))

    def fault(self, reason: str, place: str) -> None:
        """Count an object that is left out."""
        self.faults.append(Fault(reason, self.file_name, place))

    def _box_fault(self, box: Box | None) -> str:
        if box is None or not all(map(math.isfinite, box)):
            return INVALID_BOX
        x, y, width, height = box
        if width <= 0 or height <= 0:
            return NO_BOX_AREA
        if x + width <= 0 or y + height <= 0 or x >= (self.width or math.inf) or y >= (self.height or math.inf):
            return BOX_OUTSIDE
        return ""


class NoBoxError(ValueError):
    """A shape has no box."""


Read = Callable[[Findings], Iterator[LabelledImage]]
"""Reads the images of a split from the start, and says what it finds odd."""


class LabelledSplit(NamedTuple):
    """The images of one split. folder, name: see `AnnotatedImages`."""

    folder: str
    name: str
    read: Read


def clean_name(value: Any) -> str:
    """Return the name of a class with single blanks: it becomes one line of labels.txt."""
    return " ".join(str(value).split()) if isinstance(value, str | int | float) else ""


def to_entries(
    images: Iterable[tuple[int, LabelledImage]],
    categories: Mapping[int, str],
    ids: Mapping[str | int, int],
    findings: Findings,
) -> Entries:
    """Yield COCO's entries.

    Args:
        images: image ids and images.
        categories: category id → name.
        ids: category of an object → category id.
        findings: what the reader of the images finds, once all images are read.
    """
    for key in ("images", "annotations", "categories", "faults", "findings"):
        yield key, START, list
    for number, (category_id, name) in enumerate(categories.items()):
        yield "categories", number, {"id": category_id, "name": name}
    boxes = faults = 0
    for number, (image_id, image) in enumerate(images):
        entry: dict[str, Any] = {"id": image_id, "file_name": image.file_name}
        if image.width and image.height:
            entry |= {"width": image.width, "height": image.height}
        if image.is_listed:
            yield "images", number, entry
        for one in image.objects:
            yield "annotations", boxes, {
                "id": boxes + 1, "image_id": image_id, "category_id": ids[one.category], "bbox": list(one.box),
            }  # fmt: skip
            boxes += 1
        for fault in image.faults:
            yield "faults", faults, fault
            faults += 1
    for number, finding in enumerate(findings):
        yield "findings", number, finding


class NamedSplits:
    """Splits of a format that names the class of each object.

    The classes of all splits are numbered from 1 in the order of their names, and the images of each split in the order
    of theirs. The annotations are read twice for it, so that they need not be in memory.
    """

    def __init__(
        self, tree: Tree, splits: Mapping[str, LabelledSplit], declared: Callable[[], Iterable[str]] = tuple
    ) -> None:
        self._tree, self._splits, self._declared = tree, splits, declared

    def layout(self, description: str) -> Layout:
        """Return the layout."""
        splits = {
            split: AnnotatedImages(self._tree, one.folder, one.name, partial(self._entries, split), _SUFFIXES)
            for split, one in self._splits.items()
        }
        return Layout(description, splits)

    def _entries(self, split: str) -> Entries:
        names, image_ids = self._numbers
        ids: dict[str | int, int] = {name: number for number, name in enumerate(names, 1)}
        findings = Findings()
        images = zip(image_ids[split], self._splits[split].read(findings), strict=True)
        return to_entries(images, dict(enumerate(names, 1)), ids, findings)

    @cached_property
    def _numbers(self) -> tuple[list[str], dict[str, list[int]]]:
        """The names of the classes, and the ids of the images of each split in the order in which they are read."""
        classes = set(self._declared())
        image_ids = {}
        faults: list[Fault] = []
        for split, one in self._splits.items():
            names = []
            for image in one.read(Findings()):
                names.append(image.file_name)
                classes.update(str(found.category) for found in image.objects)
                faults += image.faults[: 1 - len(faults)]
            image_ids[split] = ranks(names)
        if faults and not classes:
            raise DataError(f"no object can be used: {faults[0]}: {faults[0]['reason']}")
        return sorted(classes), image_ids


def ranks(names: list[str]) -> list[int]:
    """Return the place from 1 of each name among the sorted names."""
    places = [0] * len(names)
    for place, number in enumerate(sorted(range(len(names)), key=names.__getitem__), 1):
        places[number] = place
    return places
