"""A job: the images of a source, their shards, and what is counted. The source decides what a record holds."""

from __future__ import annotations

import zlib
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from data_prep.images.prepared_image import PreparedImage
from data_prep.options import Options
from data_prep.writing.shards import shard_range
from mnasnet_cli.errors import DataError
from mnasnet_cli.health.facts import NO_LABEL, Facts, ImageBoxes
from mnasnet_cli.records.findings import Findings
from mnasnet_cli.records.orientation import UPRIGHT
from mnasnet_cli.records.shards import shard_name

SIDES = ("width", "height")


class BadImageError(DataError):
    """An image cannot become a record, and --on-bad-image is fail."""


class Record(NamedTuple):
    """The record of one image.

    example: a serialized tf.train.Example. labels: 1..N, of the image or of each of its boxes.
    counts: numbers by name, to be summed over the images; "boxes" is also counted per image.
    boxes: of the image, None if the source has no boxes.
    """

    example: bytes
    labels: Sequence[int]
    counts: Mapping[str, int] | None = None
    boxes: ImageBoxes | None = None


class Table(Protocol):
    """The images of one split, numbered 0..n-1. base: their folder or archive. sizes: their sizes in bytes."""

    base: str
    sizes: array[int]

    def __len__(self) -> int: ...

    def path(self, index: int) -> str:
        """Return the image's path, for messages."""

    def read(self, index: int) -> bytes:
        """Return the bytes of the image file. Raises BadImage."""

    def record(self, index: int, image: PreparedImage) -> Record:
        """Return the image's record. Raises BadImage if the image does not fit its annotations."""


class Source(Protocol):
    """A data set to be written.

    kind: "imagenet" or "coco", as in dataset.json. tables: split → images. ignored: number of files that are no images.
    class_keys, texts: the two columns of labels.txt; class i is at i - 1. layout: what the folder was taken for, in one
    line. findings: what was mended or looks wrong.
    """

    @property
    def kind(self) -> str: ...
    @property
    def root(self) -> Path: ...
    @property
    def tables(self) -> Mapping[str, Table]: ...
    @property
    def ignored(self) -> int: ...
    @property
    def class_keys(self) -> list[str]: ...
    @property
    def texts(self) -> list[str]: ...
    @property
    def layout(self) -> str: ...
    @property
    def findings(self) -> Findings: ...

    def plan(self) -> dict[str, Any]:
        """Return what the records depend on besides the options. A run that continues another must have the same."""

    def details(self) -> dict[str, Any]:
        """Return what dataset.json holds for this kind of source only."""


class ShardId(NamedTuple):
    """A shard: its split, and its number from 0 within the split."""

    split: str
    number: int


@dataclass
class Job:
    """What all workers share: the images, their order, and the options.

    shard_counts: split → number of shards. orders: split → image numbers in the order of the records.
    """

    source: Source
    out: Path
    options: Options
    shard_counts: dict[str, int]
    orders: dict[str, array[int]] = field(default_factory=dict)

    def image_numbers(self, shard: ShardId) -> array[int]:
        """Return the image numbers of a shard, in the order of the records."""
        order = self.orders[shard.split]
        start, end = shard_range(shard.number, self.shard_counts[shard.split], len(order))
        return order[start:end]

    def shard_name(self, shard: ShardId) -> str:
        """Return the file name of a shard."""
        return shard_name(shard.split, shard.number, self.shard_counts[shard.split])

    def sizes_checksum(self, shard: ShardId) -> int:
        """Return a CRC-32 of the file sizes of a shard's images."""
        sizes = self.source.tables[shard.split].sizes
        return zlib.crc32(",".join(str(sizes[number]) for number in self.image_numbers(shard)).encode())


class ShardStatistics:
    """Counts over the images of one shard, and the facts of each image."""

    def __init__(self) -> None:
        self.facts = Facts()
        self.labels: Counter[int] = Counter()
        self.reencoded = self.turned = self.converted = 0
        self.counts: Counter[str] | None = None
        self.boxes: Counter[int] = Counter()  # number of boxes → number of images
        self.bad: list[dict[str, str]] = []

    def add(self, record: Record, image: PreparedImage) -> None:
        """Count one image."""
        self.labels.update(record.labels)
        if record.counts is not None:
            self.counts = self.counts or Counter()
            self.counts.update(record.counts)
            self.boxes[record.counts["boxes"]] += 1
        self.reencoded += image.reencoded
        self.turned += image.orientation != UPRIGHT
        self.converted += image.converted
        label = record.labels[0] if record.boxes is None and record.labels else NO_LABEL
        self.facts.add(image.data, image.width, image.height, image.channels, label, record.boxes)

    def merge(self, other: ShardStatistics) -> None:
        """Add the counts over the images that follow."""
        self.facts.extend(other.facts)
        self.labels.update(other.labels)
        self.boxes.update(other.boxes)
        if other.counts is not None:
            self.counts = self.counts or Counter()
            self.counts.update(other.counts)
        self.reencoded += other.reencoded
        self.turned += other.turned
        self.converted += other.converted
        self.bad += other.bad

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as they are stored in the journal."""
        objects = {} if self.counts is None else {"counts": dict(self.counts), "boxes": dict(self.boxes)}
        columns = self.facts.columns
        sides = {side: [min(columns[side], default=1 << 30), max(columns[side], default=0), sum(columns[side])]
                 for side in SIDES}  # fmt: skip
        return {
            "labels": dict(self.labels), "channels": dict(Counter(columns["channels"])), "sides": sides,
            "reencoded": self.reencoded, "turned": self.turned, "converted": self.converted,
            "image_bytes": sum(columns["size"]), "bad": self.bad, "facts": self.facts.to_json(), **objects,
        }  # fmt: skip
