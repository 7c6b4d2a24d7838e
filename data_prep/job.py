"""What the workers do: turn the images of one shard into its records."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_prep import summary
from data_prep.jpeg import BadImage, prepare_image
from data_prep.options import Options
from data_prep.pool import Report
from data_prep.shards import ShardWriter, shard_range
from data_prep.sources import Source
from mnasnet_cli.data.schema import encode_imagenet_example, shard_name
from mnasnet_cli.errors import DataError


class BadImageError(DataError):
    """An image that cannot become a record, where that ends the run."""


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
            label = table.labels[number]
            synset = job.source.synsets[label - 1]
            try:
                image = prepare_image(table.read(number, synset), max_side=options.max_side, verify=options.verify)
            except BadImage as error:
                path = table.path(number, synset)
                if options.on_bad_image == "fail":
                    raise BadImageError(
                        f"{path}: {error}; mend or remove it, or leave such images out with --on-bad-image skip"
                    ) from None
                facts.bad.append({"file": os.path.relpath(path, job.source.root), "reason": str(error)})
                continue
            finally:
                report(done)
            example = encode_imagenet_example(
                image.data, label=label, synset=synset, text=job.source.texts[label - 1], filename=table.name(number),
                height=image.height, width=image.width, channels=image.channels,
            )  # fmt: skip
            shard.write(example)
            facts.add(label, image)
    entry = {"shard": shard.path.name, "split": split, "index": index, "source": source_key(job, split, index)}
    return entry | {"examples": shard.examples, "bytes": shard.bytes, "digest": shard.digest} | facts.as_dict()
