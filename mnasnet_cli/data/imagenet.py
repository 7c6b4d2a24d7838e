"""ImageNet records to batches: an order and an augmentation that follow from the seed alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import tensorflow as tf

from mnasnet_cli.config import Config
from mnasnet_cli.data import augment
from mnasnet_cli.data.pipeline import PARALLEL_CALLS, Share, deterministic, plain
from mnasnet_cli.data.rand_augment import rand_augment
from mnasnet_cli.data.schema import DatasetInfo, find_shards, load_dataset_info, parse_imagenet_example
from mnasnet_cli.data.verification import verify_records
from mnasnet_cli.errors import DataError

PADDING = -1


class ClassificationBatch(NamedTuple):
    """N images with their labels."""

    images: tf.Tensor
    """[N, S, S, 3] float32 in [0, 255]: not yet normalised, the net's own statistics are applied on the device."""
    labels: tf.Tensor
    """[N] int32 in 0..C-1; -1 marks an image that only fills the last batch of an evaluation."""
    positions: tf.Tensor
    """[N] int64: place of each example in the epoch's order, by which its record can be found again."""
    mixed_labels: tf.Tensor
    """[N] int32: label of the image that mixup or cutmix blended in."""
    mixed_weights: tf.Tensor
    """[N] float32: share of that image; 0 where nothing is blended."""


@dataclass(frozen=True)
class ImagenetRecords:
    """The records of one folder, read as `config` says."""

    directory: Path
    config: Config

    @cached_property
    def info(self) -> DatasetInfo:
        return load_dataset_info(self.directory, "imagenet")

    @cached_property
    def fingerprint(self) -> str:
        """Changes with the records: the summary's own fingerprint and the size of every shard."""
        digest = hashlib.sha256(self.info.fingerprint.encode())
        for split in sorted(self.info.splits):
            for path in find_shards(self.directory, split):
                digest.update(f"{path.name} {path.stat().st_size}\n".encode())
        return digest.hexdigest()

    @property
    def eval_examples(self) -> int:
        return self._examples("validation")

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in an epoch; the images left over differ from epoch to epoch."""
        examples, batch_size = self._examples("train"), self.config.training.batch_size
        if examples < batch_size:
            raise DataError(
                f"{self.directory} has {examples} training images, fewer than the batch size {batch_size}; "
                f"lower it with --batch-size"
            )
        return examples // batch_size

    def _examples(self, split: str) -> int:
        about = self.info.splits.get(split)
        if about is None or not about.examples:
            raise DataError(
                f"{self.directory} has no {split} images; write both splits with `mnasnet prepare-imagenet SOURCE "
                f"{self.directory}`"
            )
        return about.examples

    def verify(self, *, images: bool = False) -> None:
        """Raises DataError naming the shard or record that can't be read, where there is one; see `verify_records`."""
        verify_records(self.info, images=images)

    def train_batches(self, epoch: int, image_size: int, skip_examples: int, share: Share) -> tf.data.Dataset:
        """The whole batches of one epoch, without its first `skip_examples` examples."""
        seed = tf.constant([self.config.training.seed, epoch], tf.int32)
        # Skipping and sharing out come before decoding: both cost reading only.
        examples = self._records(epoch).enumerate().skip(skip_examples).shard(share.count, share.index)
        examples = examples.map(
            plain(lambda position, record: self._train_example(record, position, seed, image_size)),
            num_parallel_calls=PARALLEL_CALLS,
        )
        batches = examples.batch(share.batch_size, drop_remainder=True).map(
            plain(lambda positions, images, labels: self._mix(positions, images, labels, seed))
        )
        return deterministic(batches.prefetch(2))

    def eval_batches(self, image_size: int, share: Share) -> tf.data.Dataset:
        """Every validation image once; copies of a blank one with label -1 fill the last batches of all processes."""
        paths = [str(path) for path in find_shards(self.directory, "validation")]
        records = tf.data.TFRecordDataset(paths).enumerate()
        examples = records.shard(share.count, share.index).map(
            plain(lambda position, record: self._eval_example(record, position, image_size)),
            num_parallel_calls=PARALLEL_CALLS,
        )
        at_once = share.count * share.replicas * share.batch_size
        count = -(-self.eval_examples // at_once) * share.replicas
        blank = ClassificationBatch(
            tf.zeros([image_size, image_size, 3]),
            tf.constant(PADDING, tf.int32),
            tf.constant(PADDING, tf.int64),
            tf.constant(PADDING, tf.int32),
            tf.constant(0.0),
        )
        padding = tf.data.Dataset.from_tensors(blank).repeat()
        # All processes make the same number of batches, or one would wait for the others.
        batches = examples.concatenate(padding).batch(share.batch_size, drop_remainder=True).take(count)
        return deterministic(batches.prefetch(2))

    def train_filenames(self, epoch: int, positions: Iterable[int]) -> list[str]:
        """Names of the training images at these places of an epoch's order: for error messages."""
        wanted = set(positions)
        return [
            _text(parse_imagenet_example(record)["filename"])
            for position, record in enumerate(self._records(epoch))
            if position in wanted
        ]

    def eval_records(self, positions: Iterable[int]) -> dict[int, tuple[str, bytes]]:
        """File name and encoded image of the validation examples at these places."""
        wanted = set(positions)
        paths = [str(path) for path in find_shards(self.directory, "validation")]
        found: dict[int, tuple[str, bytes]] = {}
        for position, record in enumerate(tf.data.TFRecordDataset(paths)):
            if position in wanted:
                example = parse_imagenet_example(record)
                found[position] = (_text(example["filename"]), example["image_bytes"].numpy())
        return found

    def _records(self, epoch: int) -> tf.data.Dataset:
        """The records of one epoch in its own order, still encoded; without the rest that fills no batch."""
        seed = 1_000_003 * self.config.training.seed + epoch
        paths = [str(path) for path in find_shards(self.directory, "train")]
        shards = tf.data.Dataset.from_tensor_slices(paths).shuffle(len(paths), seed=seed)
        records = shards.interleave(
            tf.data.TFRecordDataset,
            cycle_length=min(16, len(paths)),
            block_length=4,
            num_parallel_calls=min(PARALLEL_CALLS, len(paths)),
            deterministic=True,
        )
        # Shuffled before decoding: a buffer of decoded images would be ten times as large.
        records = records.shuffle(self.config.data.shuffle_buffer, seed=seed)
        return records.take(self.steps_per_epoch * self.config.training.batch_size)

    def _train_example(
        self, record: tf.Tensor, position: tf.Tensor, seed: tf.Tensor, size: int
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        options = self.config.data.augment
        example = parse_imagenet_example(record)
        seed = augment.fold(seed, position)
        shape = augment.image_shape(example["image_bytes"])
        window = augment.random_crop_window(shape, augment.fold(seed, 0), options.crop_area, options.crop_ratio)
        image = augment.decode_crop_resize(example["image_bytes"], window, size, self.config.data.antialias)
        if options.flip:
            image = augment.random_flip(image, augment.fold(seed, 1))
        if options.color_jitter:
            image = augment.color_jitter(image, augment.fold(seed, 2), options.color_jitter)
        if options.rand_augment_layers:
            image = rand_augment(
                image, augment.fold(seed, 3), options.rand_augment_layers, options.rand_augment_magnitude
            )
        if options.erasing:
            image = augment.random_erasing(image, augment.fold(seed, 4), options.erasing)
        return position, image, class_index(example["label"], self.info.classes)

    def _mix(self, positions: tf.Tensor, images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor) -> ClassificationBatch:
        options = self.config.data.augment
        seed = augment.fold(seed, positions[0], 5)
        weight = tf.constant(0.0)
        if options.mixup and options.cutmix:
            images, weight = tf.cond(
                tf.random.stateless_uniform([], augment.fold(seed, 0)) < 0.5,
                lambda: augment.mixup(images, augment.fold(seed, 1), options.mixup),
                lambda: augment.cutmix(images, augment.fold(seed, 1), options.cutmix),
            )
        elif options.mixup:
            images, weight = augment.mixup(images, augment.fold(seed, 1), options.mixup)
        elif options.cutmix:
            images, weight = augment.cutmix(images, augment.fold(seed, 1), options.cutmix)
        weights = tf.fill(tf.shape(labels), weight)
        return ClassificationBatch(images, labels, positions, tf.reverse(labels, [0]), weights)

    def _eval_example(self, record: tf.Tensor, position: tf.Tensor, size: int) -> ClassificationBatch:
        example = parse_imagenet_example(record)
        data = self.config.data
        image = eval_image(example["image_bytes"], size, data.crop_fraction, data.antialias)
        label = class_index(example["label"], self.info.classes)
        return ClassificationBatch(image, label, position, label, tf.constant(0.0))


def eval_image(image_bytes: tf.Tensor, size: int, crop_fraction: float, antialias: bool = False) -> tf.Tensor:
    """An encoded image as evaluation sees it: the central crop, [size, size, 3] float32 in [0, 255]."""
    window = augment.central_crop_window(augment.image_shape(image_bytes), crop_fraction)
    return augment.decode_crop_resize(image_bytes, window, size, antialias)


def class_index(label: tf.Tensor, classes: int) -> tf.Tensor:
    """A record's label 1..N as a class index 0..N-1; another label, 0 (background) among them, is an error."""
    fits = (label >= 1) & (label <= classes)
    with tf.control_dependencies([tf.debugging.Assert(fits, ["label", label, "is not in 1 to", classes])]):
        return tf.cast(label, tf.int32) - 1


def _text(name: tf.Tensor) -> str:
    return str(name.numpy().decode("utf-8", "replace"))
