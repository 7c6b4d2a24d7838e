"""The oddest images of a data set: extremes of size, shape, content and boxes, and duplicates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from heapq import nlargest, nsmallest
from statistics import median_low
from typing import Any

from mnasnet_cli.health.collection import Collection
from mnasnet_cli.health.duplicates import Duplicates, count_images
from mnasnet_cli.health.facts import NO_LABEL, Facts
from mnasnet_cli.health.summary import aspect_ratio, bytes_per_pixel

EACH = 4  # images of a kind
PAIRS = 3  # of duplicates


@dataclass(frozen=True)
class Odd:
    """An odd image: the kind of its oddity, its split and its number within the split, and the value that is odd."""

    kind: str
    split: str
    index: int
    value: str

    def describe(self, collection: Collection) -> dict[str, Any]:
        """Return what reports say of the image."""
        columns = collection.splits[self.split].facts.columns
        path, number = collection.splits[self.split].locate(self.index)
        label = columns["label"][self.index]
        return {
            "kind": self.kind,
            "value": self.value,
            "split": self.split,
            "file": collection.name(self.split, self.index),
            "shard": path.name,
            "record": number,
            "class": None if label == NO_LABEL else collection.class_name(label),
            "width": columns["width"][self.index],
            "height": columns["height"][self.index],
        }


def find_oddest(collection: Collection, duplicates: Duplicates) -> list[Odd]:
    """Return the oddest images, kind by kind, each image once. An image with the median value is not odd."""
    seen: set[tuple[str, int]] = set()
    found: list[Odd] = []
    for odd in [*_duplicates(duplicates), *_extremes(collection)]:
        if (odd.split, odd.index) not in seen:
            seen.add((odd.split, odd.index))
            found.append(odd)
    return found


def _duplicates(duplicates: Duplicates) -> Iterable[Odd]:
    across = duplicates.across_classes()
    splits = [group for group in duplicates.groups if len({copies.split for copies in group}) > 1]
    for kind, groups in (("in two classes", across), ("in two splits", splits), ("repeated", duplicates.groups)):
        for group in groups[:PAIRS]:
            value = f"{count_images(group):,} copies"
            yield Odd(kind, group[0].split, group[0].first, value)
            other = group[1] if len(group) > 1 else group[0]
            yield Odd(kind, other.split, other.first if len(group) > 1 else other.second, value)


def _extremes(collection: Collection) -> Iterable[Odd]:
    def areas(facts: Facts) -> list[int]:
        return [width * height for width, height in zip(facts.columns["width"], facts.columns["height"], strict=True)]

    if collection.has_boxes:
        yield from _ranked(collection, "most boxes", lambda facts: facts.columns["boxes"], "{:,.0f} boxes", nlargest)
        yield from _ranked(collection, "smallest box", _smallest_boxes, "{:.2g} % of a side", nsmallest)
    yield from _ranked(collection, "smallest", areas, "{:,.0f} px", nsmallest)
    yield from _ranked(collection, "largest", areas, "{:,.0f} px", nlargest)
    yield from _ranked(collection, "longest", _aspect_ratios, "{:.3g} : 1", nlargest)
    contents = "{:.3f} bytes/px"
    yield from _ranked(collection, "least content", lambda facts: list(bytes_per_pixel(facts)), contents, nsmallest)
    yield from _ranked(collection, "most content", lambda facts: list(bytes_per_pixel(facts)), contents, nlargest)


def _aspect_ratios(facts: Facts) -> list[float]:
    return list(map(aspect_ratio, zip(facts.columns["width"], facts.columns["height"], strict=True)))


def _smallest_boxes(facts: Facts) -> list[float]:
    """Return the shortest side of all boxes of each image in % of the image's side, 0 if it has no boxes."""
    widths, heights = facts.columns["box_width"], facts.columns["box_height"]
    return [100 * min(*widths[start:end], *heights[start:end]) if end > start else 0.0
            for start, end in facts.box_ranges()]  # fmt: skip


def _ranked(
    collection: Collection, kind: str, values: Callable[[Facts], Sequence[float]], shown: str,
    select: Callable[[int, Iterable[tuple[float, str, int]]], list[tuple[float, str, int]]],
) -> Iterable[Odd]:  # fmt: skip
    """Yield the EACH smallest or largest images; the value 0 is unknown, and the median is usual."""
    rows = [
        (value, split, index)
        for split, part in collection.splits.items()
        for index, value in enumerate(values(part.facts))
        if value > 0
    ]
    if not rows:
        return
    usual = median_low(value for value, _, _ in rows)
    for value, split, index in select(EACH, rows):
        if value != usual:
            yield Odd(kind, split, index, shown.format(value))
