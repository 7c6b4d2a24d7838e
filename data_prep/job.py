"""What the workers do: turn the images of one shard into its records. What the records hold is the source's matter."""

from __future__ import annotations

import os
import zlib
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from data_prep import summary
from data_prep.jpeg import BadImage, ImageFacts, prepare_image
from data_prep.options import Options
from data_prep.pool import Report
from data_prep.shards import ShardWriter, shard_range
from mnasnet_cli.data.schema import shard_name
from mnasnet_cli.errors import DataError


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


def source_key(job: Job, split: str, index: int) -> int:
    """Return a number that changes with the size of any image of a shard."""
    sizes = job.source.tables[split].sizes
    return zlib.crc32(",".join(str(sizes[number]) for number in job.images(split, index)).encode())


def write_shard(job: Job, task: tuple[str, int], report: Report) -> dict[str, Any]:
    """Write one shard (in a worker) and return its journal entry."""
    split, index = task
    table, options = job.source.tables[split], job.options
    facts = summary.Facts()
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
