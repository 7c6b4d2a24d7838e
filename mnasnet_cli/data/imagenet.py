"""From ImageNet-style records to batches. Order and augmentation depend on the seed alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import tensorflow as tf

from mnasnet_cli.config.pre_postprocessing import Preprocessing
from mnasnet_cli.data import augment
from mnasnet_cli.data.decoding import image_shape
from mnasnet_cli.data.pipeline import PADDING, PARALLEL_CALLS, RecordFolder, Share, deterministic, plain, traced_once
from mnasnet_cli.data.preprocessing import decode_image
from mnasnet_cli.data.rand_augment import rand_augment
from mnasnet_cli.records.imagenet_example import parse_imagenet_example


class ClassificationBatch(NamedTuple):
    """N images with their labels."""

    images: tf.Tensor
    """[N, S, S, 3] float32 in [0, 255], not yet normalized."""
    labels: tf.Tensor
    """[N] int32 in 0..C-1; -1 marks a blank image that fills up the last batch of an evaluation."""
    positions: tf.Tensor
    """[N] int64: position of each example in the epoch's order; it identifies the record."""
    mixed_labels: tf.Tensor
    """[N] int32: label of the image that Mixup or CutMix blended in."""
    mixed_weights: tf.Tensor
    """[N] float32: weight of that label; 0 without Mixup and CutMix."""


@dataclass(frozen=True)
class ImagenetRecords(RecordFolder):
    """ImageNet-style records."""

    kind: ClassVar[str] = "imagenet"

    def parse(self, record: tf.Tensor) -> Mapping[str, tf.Tensor]:
        return parse_imagenet_example(record)

    def train_batches(self, epoch: int, image_size: int, skip_examples: int, share: Share) -> tf.data.Dataset:
        """See `RecordFolder`."""
        seed = tf.constant([self.config.training.seed, epoch], tf.int32)
        examples = self.train_records(epoch, skip_examples, share)
        examples = examples.map(
            plain(lambda position, record: self._train_example(record, position, seed, image_size)),
            num_parallel_calls=PARALLEL_CALLS,
        )
        batches = examples.batch(share.batch_size, drop_remainder=True).map(
            plain(lambda positions, images, labels: self._mix(positions, images, labels, seed))
        )
        return deterministic(batches.prefetch(2))

    def eval_batches(self, preprocessing: Preprocessing, share: Share) -> tf.data.Dataset:
        """See `RecordFolder`; blank images have the label -1."""
        examples = self.eval_share(share).map(
            plain(lambda position, record: self._eval_example(record, position, preprocessing)),
            num_parallel_calls=PARALLEL_CALLS,
        )
        blank = ClassificationBatch(
            tf.zeros([preprocessing.image_size, preprocessing.image_size, 3]),
            tf.constant(PADDING, tf.int32),
            tf.constant(PADDING, tf.int64),
            tf.constant(PADDING, tf.int32),
            tf.constant(0.0),
        )
        return deterministic(self.padded(examples, blank, share).prefetch(2))

    @traced_once
    def _train_example(
        self, record: tf.Tensor, position: tf.Tensor, seed: tf.Tensor, size: int
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        data, options = self.config.data, self.config.data.augment
        example = parse_imagenet_example(record)
        seed = augment.fold(seed, position)
        shape = image_shape(example["image_bytes"])
        window = augment.random_crop_window(shape, augment.fold(seed, 0), options.crop_area, options.crop_ratio)
        image = augment.decode_crop_resize(example["image_bytes"], window, size, data.antialias, data.interpolation)
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

    @traced_once
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

    @traced_once
    def _eval_example(
        self, record: tf.Tensor, position: tf.Tensor, preprocessing: Preprocessing
    ) -> ClassificationBatch:
        example = parse_imagenet_example(record)
        image = decode_image(example["image_bytes"], preprocessing)
        label = class_index(example["label"], self.info.classes)
        return ClassificationBatch(image, label, position, label, tf.constant(0.0))


def class_index(label: tf.Tensor, classes: int) -> tf.Tensor:
    """Turn a record's label 1..N into a class index 0..N-1. Any other label, also 0 (background), is an error."""
    fits = (label >= 1) & (label <= classes)
    with tf.control_dependencies([tf.debugging.Assert(fits, ["label", label, "is not in 1 to", classes])]):
        return tf.cast(label, tf.int32) - 1
