"""Images with the same content: within a split, in several splits, and in several classes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import Any

from mnasnet_cli.health.collection import Collection
from mnasnet_cli.health.facts import NO_LABEL

LISTED = 20  # groups in a report
LISTED_COPIES = 10  # of a group in a report


@dataclass
class Copies:
    """The images of one content in one split and class: their number, and the numbers of the first two in the split.

    label: the class, NO_LABEL if the images have none. second: -1 if there is one image only.
    """

    split: str
    label: int
    first: int
    second: int = -1
    count: int = 1

    def add(self, index: int) -> None:
        """Count another image."""
        if self.count == 1:
            self.second = index
        self.count += 1


@dataclass
class Duplicates:
    """Groups of images with the same content, in the order of their first images."""

    groups: list[list[Copies]] = field(default_factory=list)

    def across_splits(self, first: str, second: str) -> list[Copies]:
        """Return the images of the split `second` that are in the split `first` as well."""
        shared = [group for group in self.groups if any(copies.split == first for copies in group)]
        return [copies for group in shared for copies in group if copies.split == second]

    def across_classes(self) -> list[list[Copies]]:
        """Return the groups whose images are in several classes."""
        return [group for group in self.groups if len({copies.label for copies in group}) > 1]

    def within(self, split: str) -> list[Copies]:
        """Return the images that are more than once in the same class of a split."""
        return [copies for group in self.groups for copies in group if copies.split == split and copies.count > 1]

    def repeated(self, split: str) -> int:
        """Return how many images of a split could be removed without losing a picture."""
        counts = [count_images(copies for copies in group if copies.split == split) for group in self.groups]
        return sum(count - 1 for count in counts if count)


def count_images(copies: Iterable[Copies]) -> int:
    """Return the number of images."""
    return sum(one.count for one in copies)


def find_duplicates(collection: Collection) -> Duplicates:
    """Return the images with the same CRC-32C and the same length."""
    ranked = sorted(chain.from_iterable(part.facts.columns["crc"] for part in collection.splits.values()))
    repeated = {crc for crc, following in pairwise(ranked) if crc == following}
    del ranked
    groups: dict[tuple[int, int], dict[tuple[str, int], Copies]] = {}
    for split, part in collection.splits.items() if repeated else ():
        columns = part.facts.columns
        for index, crc in enumerate(columns["crc"]):
            if crc in repeated and (size := columns["size"][index]):
                label = columns["label"][index]
                group = groups.setdefault((crc, size), {})
                if copies := group.get((split, label)):
                    copies.add(index)
                else:
                    group[split, label] = Copies(split, label, index)
    found = [list(group.values()) for group in groups.values()]
    return Duplicates([group for group in found if count_images(group) > 1])


def summarize(duplicates: Duplicates, collection: Collection) -> dict[str, Any]:
    """Return the numbers of duplicates, and the first groups, each with its images by split and class."""
    splits = list(collection.splits)
    return {
        "groups": len(duplicates.groups),
        "images": sum(map(count_images, duplicates.groups)),
        "repeated": {split: duplicates.repeated(split) for split in splits},
        "across_splits": {
            f"{first} and {second}": count_images(duplicates.across_splits(first, second))
            for position, first in enumerate(splits) for second in splits[position + 1 :]
        },
        "across_classes": len(duplicates.across_classes()),
        "first_groups": [
            [_describe(collection, copies) for copies in group[:LISTED_COPIES]] for group in duplicates.groups[:LISTED]
        ],
    }  # fmt: skip


def _describe(collection: Collection, copies: Copies) -> dict[str, Any]:
    named = {} if copies.label == NO_LABEL else {"class": collection.class_name(copies.label)}
    file = collection.name(copies.split, copies.first)
    return {"split": copies.split, **named, "images": copies.count, "file": file}
