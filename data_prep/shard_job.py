"""What a worker does: it turns the images of one shard into records. The source decides what a record holds."""

from __future__ import annotations

import os
import zlib
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from data_prep.jpeg import BadImage, ImageFacts, prepare_image
from data_prep.options import Options
from data_prep.shards import ShardWriter, shard_range
from data_prep.workers import Report
from mnasnet_cli.errors import DataError
from mnasnet_cli.records.shards import shard_name

SIDES = ("width", "height")


class BadImageError(DataError):
    """An image that cannot become a record, where that ends the run."""


class Record(NamedTuple):
    """One image's record.

    example: a serialised tf.train.Example. labels: 1..N, of the image or of each box in it.
    counts: numbers to be summed up over the images, by name; "boxes" is also counted by image.
    """

    example: bytes
    labels: Sequence[int]
    counts: Mapping[str, int] | None = None


class Table(Protocol):
    """The images of one split, numbered 0..n-1, as workers need them. base: their folder or archive.

    sizes: bytes, by which a change is noticed.
    """

    base: str
    sizes: array[int]

    def __len__(self) -> int: ...

    def path(self, index: int) -> str:
        """Return where the image lies, for messages."""

    def read(self, index: int) -> bytes:
        """Return the image file's bytes. Raises BadImage."""

    def record(self, index: int, image: ImageFacts) -> Record:
        """Return the image's record. Raises BadImage where the two don't fit."""


class Source(Protocol):
    """What is to be written.

    kind: of dataset.json. tables: split → images. ignored: number of files that are left out without a fault.
    class_keys, texts: class i's first and second column in labels.txt, at i - 1.
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

    def plan(self) -> dict[str, Any]:
        """Return what decides the records beside the options: who goes on with them must have the same."""

    def details(self) -> dict[str, Any]:
        """Return what dataset.json holds beside what every kind has there."""


@dataclass
class Job:
    """What the workers share: where the images are, in which order, and what to do with them."""

    source: Source
    out: Path
    options: Options
    counts: dict[str, int]  # split → shards
    orders: dict[str, Any] = field(default_factory=dict)  # split → image numbers in record order

    def images(self, split: str, index: int) -> Any:
        """Return the image numbers of a shard, in record order."""
        start, end = shard_range(index, self.counts[split], len(self.orders[split]))
        return self.orders[split][start:end]

    def shard_name(self, task: tuple[str, int]) -> str:
        """Return the file name of a shard, given by split and index."""
        return shard_name(*task, self.counts[task[0]])


class Facts:
    """What a worker notes of the images of one shard."""

    def __init__(self) -> None:
        self.labels: Counter[int] = Counter()
        self.channels: Counter[int] = Counter()
        self.sides = {side: [1 << 30, 0, 0] for side in SIDES}  # smallest, largest, sum; px
        self.reencoded = self.image_bytes = 0
        self.counts: Counter[str] | None = None
        self.boxes: Counter[int] = Counter()  # boxes in an image → images
        self.bad: list[dict[str, str]] = []

    def add(self, labels: Sequence[int], image: ImageFacts, counts: Mapping[str, int] | None = None) -> None:
        """Note one image."""
        self.labels.update(labels)
        if counts is not None:
            self.counts = self.counts or Counter()
            self.counts.update(counts)
            self.boxes[counts["boxes"]] += 1
        self.channels[image.channels] += 1
        self.reencoded += image.reencoded
        self.image_bytes += len(image.data)
        for value, side in ((image.width, self.sides["width"]), (image.height, self.sides["height"])):
            if value < side[0]:
                side[0] = value
            if value > side[1]:
                side[1] = value
            side[2] += value

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        objects = {} if self.counts is None else {"counts": dict(self.counts), "boxes": dict(self.boxes)}
        return {
            "labels": dict(self.labels), "channels": dict(self.channels), "sides": self.sides,
            "reencoded": self.reencoded, "image_bytes": self.image_bytes, "bad": self.bad, **objects,
        }  # fmt: skip


def source_key(job: Job, split: str, index: int) -> int:
    """Return a number that changes with the size of any image of a shard."""
    sizes = job.source.tables[split].sizes
    return zlib.crc32(",".join(str(sizes[number]) for number in job.images(split, index)).encode())


def write_shard(job: Job, task: tuple[str, int], report: Report) -> dict[str, Any]:
    """Write one shard (in a worker) and return its journal entry."""
    split, index = task
    table, options = job.source.tables[split], job.options
    facts = Facts()
    with ShardWriter(job.out / job.shard_name(task)) as shard:
        for done, number in enumerate(job.images(split, index), 1):
            try:
                image = prepare_image(table.read(number), max_side=options.max_side, verify=options.verify)
                record = table.record(number, image)
            except BadImage as error:
                path = table.path(number)
                if options.on_bad_image == "fail":
                    raise BadImageError(
                        f"{path}: {error}; mend or remove it, or leave such images out with --on-bad-image skip"
                    ) from None
                facts.bad.append({"file": os.path.relpath(path, job.source.root), "reason": str(error)})
                continue
            finally:
                report(done)
            shard.write(record.example)
            facts.add(record.labels, image, record.counts)
    entry = {"shard": shard.path.name, "split": split, "index": index, "source": source_key(job, split, index)}
    return entry | {"examples": shard.examples, "bytes": shard.bytes, "digest": shard.digest} | facts.as_dict()
