"""What all input pipelines have in common: a folder of records, its order, and each process's share of it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from mnasnet_cli.config.pre_postprocessing import Preprocessing
from mnasnet_cli.config.schema import Config
from mnasnet_cli.data.epoch_order import EpochOrder, block_records
from mnasnet_cli.data.ordered_records import OrderedRecords
from mnasnet_cli.data.record_index import RecordIndex
from mnasnet_cli.data.verification import check_counts, verify_records
from mnasnet_cli.errors import DataError
from mnasnet_cli.records.dataset_info import DatasetInfo, folder_fingerprint, load_dataset_info
from mnasnet_cli.records.index import load_index
from mnasnet_cli.records.shards import COMMANDS, find_shards
from mnasnet_cli.records.tfrecord import are_compressed
from mnasnet_cli.system.machine import core_count

CORES = core_count()
# Examples that are prepared at a time. More than cores: a finished example waits for the slower ones before it.
PARALLEL_CALLS = 4 * CORES

READ_BYTES = 1 << 18  # of records that are read one after the other; TensorFlow's own default

# For the functions of `Dataset.map`. They don't need AutoGraph, which can't parse a lambda of several lines.
plain = tf.autograph.experimental.do_not_convert


def traced_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of `RecordFolder` for the functions of `Dataset.map`: a folder traces it once for all epochs."""
    name = f"traced {function.__name__}"

    @functools.wraps(function)
    def call(self: Any, *args: Any) -> Any:
        if name not in self.__dict__:
            self.__dict__[name] = tf.function(functools.partial(function, self), autograph=False)
        return self.__dict__[name](*args)

    return call


@dataclass(frozen=True)
class Share:
    """The part of the examples that one process prepares."""

    batch_size: int
    index: int = 0
    count: int = 1
    replicas: int = 1
    """Devices of the process; each takes a batch of its own in a step."""


def deterministic(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Return the dataset with a fixed order, without auto-sharding and autotuning.

    Each process already makes its own share, and every number of parallel calls is given.
    """
    options = tf.data.Options()
    options.deterministic = True
    # TensorFlow 2.21: the end of an iterator waits until its autotuner wakes, for up to about ten seconds.
    options.autotune.enabled = False
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.with_options(options)


PADDING = -1


@dataclass(frozen=True)
class RecordFolder:
    """The records of one folder, as training and evaluation read them. Each kind of records has a subclass."""

    directory: Path
    config: Config
    eval_split: str = "validation"
    """The split that evaluations read; training reads "train"."""

    kind: ClassVar[str]
    """"imagenet" or "coco"."""

    @cached_property
    def info(self) -> DatasetInfo:
        return load_dataset_info(self.directory, self.kind)

    @cached_property
    def fingerprint(self) -> str:
        """See `dataset_info.folder_fingerprint`."""
        return folder_fingerprint(self.info)

    @property
    def has_eval_examples(self) -> bool:
        return self.eval_split in self._counts()

    @property
    def eval_examples(self) -> int:
        """Images of `eval_split`. Raises DataError with the splits that there are instead."""
        counts = self._counts()
        if self.eval_split not in counts:
            flags = " or ".join(f"--split {split} ({count:,} images)" for split, count in counts.items())
            raise DataError(
                f"{self.directory} has no {self.eval_split} images; evaluate on others with {flags}, or write records "
                f"with a {self.eval_split} split: `mnasnet {COMMANDS[self.kind]} SOURCE OUT`"
            )
        return counts[self.eval_split]

    @property
    def train_examples(self) -> int:
        return self._counts().get("train", 0)

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in an epoch. Each epoch leaves out other images."""
        examples, batch_size = self.train_examples, self.config.training.batch_size
        if not examples:
            raise DataError(
                f"{self.directory} has no train images; write them with `mnasnet {COMMANDS[self.kind]} SOURCE "
                f"{self.directory}`"
            )
        if examples < batch_size:
            raise DataError(
                f"{self.directory} has {examples} training images, fewer than the batch size {batch_size}; "
                f"lower it with --batch-size"
            )
        return examples // batch_size

    def _counts(self) -> dict[str, int]:
        """Return the number of images of each split that has any."""
        return {split: about.examples for split, about in self.info.splits.items() if about.examples}

    def verify(self, *, images: bool = False) -> None:
        """Raise DataError if a shard or record can't be read; see `verify_records`."""
        verify_records(self.info, images=images)

    def parse(self, record: tf.Tensor) -> Mapping[str, tf.Tensor]:
        """Parse a serialised record; the result has image_bytes, filename and more."""
        raise NotImplementedError

    def train_batches(self, epoch: int, image_size: int, skip_examples: int, share: Share) -> tf.data.Dataset:
        """Return the whole batches of one epoch, without its first `skip_examples` examples."""
        raise NotImplementedError

    def eval_batches(self, preprocessing: Preprocessing, share: Share) -> tf.data.Dataset:
        """Return every image of `eval_split` once; blank images at position -1 fill up the last batches."""
        raise NotImplementedError

    def train_filenames(self, epoch: int, positions: Iterable[int]) -> list[str]:
        """Return the names of the training images at these positions of an epoch's order, for error messages."""
        wanted = sorted(set(positions))
        order, index = self.train_order(epoch), self.index("train")
        if order is not None and index is not None:
            records = [index.read(number, 1)[0] for number in order.numbers(np.array(wanted)).tolist()]
        else:
            every = enumerate(self.buffered_records(epoch))
            records = [record for position, record in every if position in wanted]
        return [text_of(self.parse(record)["filename"]) for record in records]

    def eval_records(self, positions: Iterable[int]) -> dict[int, tuple[str, bytes]]:
        """Return the file name and the encoded image of the examples of `eval_split` at these positions."""
        wanted, index = sorted(set(positions)), self.index(self.eval_split)
        if index is not None:
            records = {position: index.read(position, 1)[0] for position in wanted}
        else:
            every = enumerate(self.every_record(self.eval_split))
            records = {position: record for position, record in every if position in wanted}
        examples = {position: self.parse(record) for position, record in records.items()}
        return {position: (text_of(example["filename"]), example["image_bytes"].numpy())
                for position, example in examples.items()}  # fmt: skip

    def eval_share(self, share: Share) -> tf.data.Dataset:
        """Return the position, int64 [], and the data, string [], of the records that one process evaluates.

        They are neighbours, so that a process reads nothing of the others.
        """
        paths, index = self.paths(self.eval_split), self.index(self.eval_split)
        if share.count == 1 or index is None:
            return self.every_record(self.eval_split).enumerate().shard(share.count, share.index)
        first, end = (number * len(index) // share.count for number in (share.index, share.index + 1))
        shard, offset = index.place(first)
        places = paths[shard:], [offset] + [0] * (len(paths) - shard - 1)
        records = tf.data.Dataset.from_tensor_slices(places).flat_map(_records_from)
        return records.take(end - first).enumerate(start=first)

    def paths(self, split: str) -> list[str]:
        return [str(path) for path in find_shards(self.directory, split)]

    def index(self, split: str) -> RecordIndex | None:
        """Return where the records of a split lie; None if shards are compressed, which are read from their beginning.

        Raises DataError if shards are damaged or miss records, or if only some are compressed.
        """
        indexes: dict[str, RecordIndex | None] = self.__dict__.setdefault("indexes", {})
        if split not in indexes:
            shards = load_index(self.directory, split, self.kind)
            check_counts(self.info, split, [len(shard.lengths) for shard in shards])
            compressed = are_compressed({shard.path: shard.compressed for shard in shards})
            indexes[split] = None if compressed else RecordIndex.of(shards)
        return indexes[split]

    def every_record(self, split: str) -> tf.data.Dataset:
        """Return the records of a split in the order of the shards."""
        return tf.data.TFRecordDataset(self.paths(split), self._compression(split))

    def _compression(self, split: str) -> str:
        return "GZIP" if self.index(split) is None else ""

    def train_order(self, epoch: int) -> EpochOrder | None:
        """Return the order of an epoch; None if it is that of `buffered_records`."""
        batch_size, data = self.config.training.batch_size, self.config.data
        index = self.index("train") if data.order == "blocks" else None
        if index is None:
            return None
        block = block_records(data.block_kilobytes, index.record_bytes, len(index) // batch_size)
        return EpochOrder(self.config.training.seed, epoch, len(index), batch_size, block, data.shuffle_buffer)

    def train_records(self, epoch: int, skip_examples: int, share: Share) -> tf.data.Dataset:
        """Return the position, int64 [], and the data, string [], of the records of one share of an epoch.

        They are those of whole batches, without the first `skip_examples` of the epoch.
        """
        order, index = self.train_order(epoch), self.index("train")
        if order is None or index is None:
            # Skip and shard before decoding: then both cost only reading.
            return self.buffered_records(epoch).enumerate().skip(skip_examples).shard(share.count, share.index)
        records = OrderedRecords(index, order, skip_examples, share.index, share.count)
        chunk = tf.TensorSpec([None], tf.int64), tf.TensorSpec([None], tf.string)
        return tf.data.Dataset.from_generator(lambda: iter(records), output_signature=chunk).unbatch()

    def buffered_records(self, epoch: int) -> tf.data.Dataset:
        """Return the records of one epoch in the order of `data.order: buffer`, which compressed records have, too.

        Every process reads all of them, up to its own.
        """
        seed = 1_000_003 * self.config.training.seed + epoch
        paths = self.paths("train")
        shards = tf.data.Dataset.from_tensor_slices(paths).shuffle(len(paths), seed=seed)
        records = shards.interleave(
            functools.partial(tf.data.TFRecordDataset, compression_type=self._compression("train")),
            cycle_length=min(16, len(paths)),
            block_length=4,
            num_parallel_calls=min(CORES, len(paths)),
            deterministic=True,
        )
        # Shuffle before decoding: a buffer of decoded images would be ten times as large.
        records = records.shuffle(self.config.data.shuffle_buffer, seed=seed)
        return records.take(self.steps_per_epoch * self.config.training.batch_size)

    def padded(self, examples: tf.data.Dataset, blank: Any, share: Share) -> tf.data.Dataset:
        """Return examples of `eval_split` in batches; copies of `blank` fill up the last batches of all processes."""
        at_once = share.count * share.replicas * share.batch_size
        count = -(-self.eval_examples // at_once) * share.replicas
        padding = tf.data.Dataset.from_tensors(blank).repeat()
        # All processes make the same number of batches; otherwise one would wait for the others forever.
        return self.batched(examples.concatenate(padding), share.batch_size).take(count)

    def batched(self, examples: tf.data.Dataset, size: int) -> tf.data.Dataset:
        """Return whole batches of examples."""
        return examples.batch(size, drop_remainder=True)


@plain
def _records_from(path: tf.Tensor, offset: tf.Tensor) -> tf.data.Dataset:
    """Return the records of a file from a byte offset on."""
    # TensorFlow 2.21 loses the offsets if this dataset is not inside `flat_map`.
    variant = tf.raw_ops.TFRecordDatasetV2(
        filenames=[path], compression_type="", buffer_size=READ_BYTES, byte_offsets=[offset]
    )
    return tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string))


def text_of(name: tf.Tensor) -> str:
    """Return a string tensor [] as text."""
    return str(name.numpy().decode("utf-8", "replace"))
