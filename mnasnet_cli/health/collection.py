"""The facts of all records of a data set, by split, and the way back to single records."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from mnasnet_cli.errors import DataError
from mnasnet_cli.health.facts import Facts
from mnasnet_cli.records.describe import text_of
from mnasnet_cli.records.keys import FILENAME
from mnasnet_cli.records.tfrecord import decode_example, read_records, record_offsets


class SplitFacts:
    """The facts of one split, over its files in their order. ends: the number of images up to the end of each file."""

    def __init__(self) -> None:
        self.facts = Facts()
        self.files: list[Path] = []
        self.ends: array[int] = array("Q")

    def extend(self, file: Path, facts: Facts) -> None:
        """Append the facts of a file, or of the next part of the last file."""
        self.facts.extend(facts)
        if self.files and self.files[-1] == file:
            self.ends[-1] = len(self.facts)
        else:
            self.files.append(file)
            self.ends.append(len(self.facts))

    def locate(self, index: int) -> tuple[Path, int]:
        """Return the file of an image, and the number of its record in this file."""
        place = bisect_right(self.ends, index)
        return self.files[place], index - (self.ends[place - 1] if place else 0)


@dataclass
class Collection:
    """The facts of a data set.

    kind: "imagenet" (an image has one class) or "coco" (a box has one). keys, texts: the two columns of labels.txt;
    class i is at i - 1.
    """

    kind: str
    keys: Sequence[str]
    texts: Sequence[str]
    splits: dict[str, SplitFacts] = field(default_factory=dict)

    @property
    def has_boxes(self) -> bool:
        """Whether boxes have the classes, not images."""
        return self.kind == "coco"

    def class_name(self, label: int) -> str:
        """Return the name of a class for people."""
        if not 0 < label <= len(self.keys):
            return f"label {label}"
        return self.texts[label - 1].split(",")[0] or self.keys[label - 1]

    def images_by_class(self, split: str) -> Counter[int]:
        """Return label → number of images of this class, or with a box of it."""
        facts = self.splits[split].facts
        if not self.has_boxes:
            return Counter(facts.columns["label"])
        labels, counts = facts.columns["box_label"], Counter[int]()
        for start, end in facts.box_ranges():
            counts.update(set(labels[start:end]))
        return counts

    def read(self, split: str, index: int) -> dict[str, Any]:
        """Return the example of an image. Raises DataError if its file cannot be read."""
        return dict(_read_example(*self.splits[split].locate(index)))

    def name(self, split: str, index: int) -> str:
        """Return the file name of an image, or where its record is if the record has no name."""
        path, number = self.splits[split].locate(index)
        try:
            name = text_of(_read_example(path, number), FILENAME)
        except DataError:  # the shard is on another machine
            name = ""
        return name or f"record {number} of {path.name}"


@lru_cache(maxsize=64)
def _read_example(path: Path, number: int) -> dict[str, Any]:
    offset = _offsets(path)[number]
    return next(map(decode_example, read_records(path, first=number, offset=offset)))


@lru_cache(maxsize=64)
def _offsets(path: Path) -> Sequence[int]:
    return record_offsets(path)
