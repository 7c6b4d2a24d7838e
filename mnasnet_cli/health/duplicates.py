"""Images with the same content: within a split, in several splits, and in several classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import Any, NamedTuple

from mnasnet_cli.health.collection import Collection
from mnasnet_cli.health.facts import NO_LABEL

LISTED = 20  # groups in a report


class Member(NamedTuple):
    """An image: its split, its number within the split, and its class, NO_LABEL if it has none."""

    split: str
    number: int
    label: int


@dataclass
class Duplicates:
    """Groups of images with the same bytes, in the order of their first images."""

    groups: list[list[Member]] = field(default_factory=list)

    def across_splits(self, first: str, second: str) -> list[Member]:
        """Return the images of the split `second` that are in the split `first` as well."""
        return [
            member for group in self.groups if any(other.split == first for other in group)
            for member in group if member.split == second
        ]  # fmt: skip

    def across_classes(self) -> list[list[Member]]:
        """Return the groups whose images are in several classes."""
        return [group for group in self.groups if len({member.label for member in group}) > 1]

    def repeated(self, split: str) -> int:
        """Return how many images of a split could be removed without losing a picture."""
        counts = [sum(member.split == split for member in group) for group in self.groups]
        return sum(count - 1 for count in counts if count)

    def within(self, split: str) -> list[tuple[Member, Member]]:
        """Return each image that occurs earlier in the split and in the same class, after that earlier one."""
        pairs = []
        for group in self.groups:
            first: dict[int, Member] = {}
            for member in group:
                if member.split == split and first.setdefault(member.label, member) is not member:
                    pairs.append((first[member.label], member))
        return pairs


def find_duplicates(collection: Collection) -> Duplicates:
    """Return the images with the same CRC-32C and the same length."""
    ranked = sorted(chain.from_iterable(part.facts.columns["crc"] for part in collection.splits.values()))
    repeated = {crc for crc, following in pairwise(ranked) if crc == following}
    del ranked
    groups: dict[tuple[int, int], list[Member]] = {}
    for split, part in collection.splits.items() if repeated else ():
        columns = part.facts.columns
        for index, crc in enumerate(columns["crc"]):
            if crc in repeated and (size := columns["size"][index]):
                groups.setdefault((crc, size), []).append(Member(split, index, columns["label"][index]))
    return Duplicates([group for group in groups.values() if len(group) > 1])


def summarize(duplicates: Duplicates, collection: Collection) -> dict[str, Any]:
    """Return the numbers of duplicates, and the first groups with the names of their images."""
    splits = list(collection.splits)
    shared = Counter(
        {
            f"{first} and {second}": len(duplicates.across_splits(first, second))
            for position, first in enumerate(splits) for second in splits[position + 1 :]
        }
    )  # fmt: skip
    return {
        "groups": len(duplicates.groups),
        "images": sum(map(len, duplicates.groups)),
        "repeated": {split: duplicates.repeated(split) for split in splits},
        "across_splits": dict(shared),
        "across_classes": len(duplicates.across_classes()),
        "first_groups": [
            [describe_member(collection, member) for member in group] for group in duplicates.groups[:LISTED]
        ],
    }


def describe_member(collection: Collection, member: Member) -> Mapping[str, Any]:
    """Return what a report says of an image."""
    named = {} if member.label == NO_LABEL else {"class": collection.class_name(member.label)}
    return {"split": member.split, "file": collection.name(member.split, member.number)} | named
