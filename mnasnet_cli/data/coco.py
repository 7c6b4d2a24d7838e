"""From COCO-style records to batches of images and their targets. The order depends on the seed alone.

The targets of a detector with anchors are those of each anchor. Without anchors they are the boxes themselves, because
the net's predictions decide which position learns which box.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tensorflow as tf

from mnasnet_cli.config.detection import DetectionConfig
from mnasnet_cli.config.pre_postprocessing import Preprocessing
from mnasnet_cli.data import augment, box_augment
from mnasnet_cli.data.decoding import image_shape
from mnasnet_cli.data.pipeline import PADDING, PARALLEL_CALLS, RecordFolder, Share, deterministic, plain, traced_once
from mnasnet_cli.data.preprocessing import crop_window, decode_window
from mnasnet_cli.geometry import anchors as anchor_geometry
from mnasnet_cli.geometry import matching
from mnasnet_cli.geometry.assignment import CROWD
from mnasnet_cli.nets.detector_spec import DetectorSpec
from mnasnet_cli.records.coco_example import parse_coco_example


class DetectionBatch(NamedTuple):
    """N images with the targets of their A anchors. Without anchors, A is the number of boxes of the fullest image."""

    images: tf.Tensor
    """[N, S, S, 3] float32 in [0, 255]: the whole image or a crop, resized to S × S; the aspect ratio is not kept."""
    class_targets: tf.Tensor
    """[N, A] int32: 1..K, 0 for background, -1 for anchors that the loss ignores. Without anchors, those of the boxes:
    1..K, 0 for padding, -1 for regions that the loss ignores."""
    box_targets: tf.Tensor
    """[N, A, 4] float32: the box coder's deltas; undefined where class_targets is not positive. Without anchors, boxes
    in px of the image."""
    positions: tf.Tensor
    """[N] int64: position in the epoch's order; -1 marks a blank image that fills up an evaluation's last batch."""
    image_ids: tf.Tensor
    """[N] int64: the data set's image ids."""
    image_sizes: tf.Tensor
    """[N, 2] float32: height and width of the part of the original that `images` shows, px."""


class Anchors(NamedTuple):
    """The anchors for one size of images."""

    boxes: np.ndarray
    """[A, 4] float32, px."""
    level_counts: tuple[int, ...]
    """Anchors of each level, from the finest."""


class View(NamedTuple):
    """An augmented image with its boxes."""

    image: tf.Tensor
    """[S, S, 3] float32."""
    boxes: tf.Tensor
    """[n, 4] float32, px of `image`."""
    classes: tf.Tensor
    """[n] int64, 1..K."""
    crowd: tf.Tensor
    """[n] bool."""
    image_id: tf.Tensor
    """[] int64."""
    image_size: tf.Tensor
    """[2], as `image_sizes` in `DetectionBatch`."""


@functools.lru_cache(maxsize=8)
def anchors_of(size: int, spec: DetectorSpec) -> Anchors:
    """Return the anchors of a detector for images of size × size px."""
    levels = anchor_geometry.level_anchors(size, size, min_level=spec.min_level, max_level=spec.max_level)
    return Anchors(np.concatenate(levels), tuple(len(level) for level in levels))


@dataclass(frozen=True)
class CocoRecords(RecordFolder):
    """Records with boxes."""

    kind: ClassVar[str] = "coco"

    @property
    def options(self) -> DetectionConfig:
        assert self.config.detection is not None
        return self.config.detection

    def parse(self, record: tf.Tensor) -> Mapping[str, tf.Tensor]:
        return parse_coco_example(record, self.info.texts)

    def train_batches(self, epoch: int, image_size: int, skip_examples: int, share: Share) -> tf.data.Dataset:
        """See `RecordFolder`."""
        seed = tf.constant([self.config.training.seed, epoch], tf.int32)
        examples = self.train_records(epoch, skip_examples, share)
        varied = epoch < self.config.training.epochs - self.options.plain_epochs
        if varied and (self.options.mosaic or self.options.mixup):
            examples = examples.batch(share.batch_size, drop_remainder=True).map(plain(_with_partners)).unbatch()
        examples = examples.map(
            plain(lambda position, *records: self._train_example(records, position, seed, image_size, varied)),
            num_parallel_calls=PARALLEL_CALLS,
        )
        return deterministic(self.batched(examples, share.batch_size).prefetch(2))

    def eval_batches(self, preprocessing: Preprocessing, share: Share) -> tf.data.Dataset:
        """See `RecordFolder`."""
        examples = self.eval_share(share).map(
            plain(lambda position, record: self._eval_example(record, position, preprocessing)),
            num_parallel_calls=PARALLEL_CALLS,
        )
        size = preprocessing.image_size
        count = 0 if self.options.spec.anchor_free else len(anchors_of(size, self.options.spec).boxes)
        blank = DetectionBatch(
            tf.zeros([size, size, 3]),
            tf.fill([count], -1),
            tf.zeros([count, 4]),
            tf.constant(PADDING, tf.int64),
            tf.constant(PADDING, tf.int64),
            tf.ones([2]),
        )
        return deterministic(self.padded(examples, blank, share).prefetch(2))

    def batched(self, examples: tf.data.Dataset, size: int) -> tf.data.Dataset:
        """See `RecordFolder`. Images have different numbers of boxes: 0 fills up the others' targets."""
        if self.options.spec.anchor_free:
            return examples.padded_batch(size, drop_remainder=True)
        return super().batched(examples, size)

    def eval_truth(self) -> Iterator[dict[str, Any]]:
        """Yield the annotations of each image of `eval_split` as NumPy values; see `parse_coco_example`."""

        def facts(record: tf.Tensor) -> dict[str, tf.Tensor]:
            return {key: value for key, value in self.parse(record).items() if key != "image_bytes"}

        records = self.every_record(self.eval_split)
        yield from records.map(plain(facts), num_parallel_calls=PARALLEL_CALLS).as_numpy_iterator()

    @traced_once
    def _train_example(
        self, records: Sequence[tf.Tensor], position: tf.Tensor, seed: tf.Tensor, size: int, varied: bool
    ) -> DetectionBatch:
        """Make an example of the first record; the others may become parts of it.

        varied: False in the last epochs, which show whole images, only mirrored.
        """
        options = self.options
        seed = augment.fold(seed, position)
        view = self._augmented(records[0], seed, size, varied)
        if varied and options.mosaic:
            alone = view

            def mosaic() -> View:
                others = [self._augmented(record, augment.fold(seed, 8, place), size, varied)
                          for place, record in enumerate(records[1 : box_augment.MOSAIC_PARTS])]  # fmt: skip
                return _mosaic([alone, *others], augment.fold(seed, 7))

            chosen = tf.random.stateless_uniform([], augment.fold(seed, 6)) < options.mosaic
            view = tf.cond(chosen, mosaic, lambda: alone)
        if varied and options.mixup:
            first = view

            def mixup() -> View:
                return _mixup(first, self._augmented(records[-1], augment.fold(seed, 10), size, varied))

            chosen = tf.random.stateless_uniform([], augment.fold(seed, 9)) < options.mixup
            view = tf.cond(chosen, mixup, lambda: first)
        targets = assign_targets(view.boxes, view.classes, view.crowd, size, options)
        return DetectionBatch(view.image, *targets, position, view.image_id, view.image_size)

    @traced_once
    def _augmented(self, record: tf.Tensor, seed: tf.Tensor, size: int, varied: bool) -> View:
        """Crop, zoom, mirror and recolour one image at random; not `varied`: only mirror it."""
        augmentation, options = self.config.data.augment, self.options
        example = checked(self.parse(record), self.info.classes)
        boxes, crowd = example["boxes_yxyx"], example["is_crowd"]
        shape = image_shape(example["image_bytes"])
        window = augment.whole_window(shape)
        if varied:
            window = box_augment.random_crop_window(
                shape,
                tf.boolean_mask(boxes, ~crowd),
                augment.fold(seed, 0),
                area=augmentation.crop_area,
                ratio=augmentation.crop_ratio,
                covered=options.min_covered,
            )
        jitter = varied and options.scale_jitter != (1.0, 1.0)
        factor = tf.random.stateless_uniform([], augment.fold(seed, 1), *options.scale_jitter)
        if jitter:
            window = box_augment.zoom_window(window, augment.fold(seed, 2), factor)
        data = self.config.data
        image = augment.decode_crop_resize(example["image_bytes"], window, size, data.antialias, data.interpolation)
        boxes = box_augment.boxes_in_window(boxes, window, size)
        if jitter:
            fill = self.config.data.mean
            image, boxes = box_augment.shrink_into_frame(image, boxes, augment.fold(seed, 3), factor, fill)
        if augmentation.flip:
            image, boxes = box_augment.random_flip(image, boxes, augment.fold(seed, 4))
        if varied and augmentation.color_jitter:
            image = augment.color_jitter(image, augment.fold(seed, 5), augmentation.color_jitter)
        if varied and options.hue_jitter:
            image = augment.hue_jitter(image, augment.fold(seed, 11), options.hue_jitter)
        seen = box_augment.keep_visible(boxes, example["classes"], crowd, size, options.min_visible)
        return View(image, *seen, example["image_id"], _window_size(window))

    @traced_once
    def _eval_example(self, record: tf.Tensor, position: tf.Tensor, preprocessing: Preprocessing) -> DetectionBatch:
        example = checked(self.parse(record), self.info.classes)
        size = preprocessing.image_size
        window = crop_window(image_shape(example["image_bytes"]), preprocessing)
        image = decode_window(example["image_bytes"], window, preprocessing)
        boxes = box_augment.boxes_in_window(example["boxes_yxyx"], window, size)
        targets = assign_targets(boxes, example["classes"], example["is_crowd"], size, self.options)
        return DetectionBatch(image, *targets, position, example["image_id"], _window_size(window))


def _with_partners(positions: tf.Tensor, records: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Return each record of a batch [N] with others of the batch: three for a mosaic, and one for mixup.

    The choice depends on the order alone.
    """
    return positions, *(tf.roll(records, -shift, 0) for shift in range(box_augment.MOSAIC_PARTS + 1))


def _mosaic(views: Sequence[View], seed: tf.Tensor) -> View:
    """Combine four views into one, which keeps the id of the first."""
    image, boxes = box_augment.mosaic([view.image for view in views], [view.boxes for view in views], seed)
    classes, crowd = tf.concat([view.classes for view in views], 0), tf.concat([view.crowd for view in views], 0)
    return View(image, boxes, classes, crowd, views[0].image_id, views[0].image_size)


def _mixup(first: View, second: View) -> View:
    """Blend two views half and half, with the boxes of both (arXiv 1902.04103); it keeps the id of the first."""
    boxes = tf.concat([first.boxes, second.boxes], 0)
    classes, crowd = tf.concat([first.classes, second.classes], 0), tf.concat([first.crowd, second.crowd], 0)
    image = augment.blend(first.image, second.image, tf.constant(0.5))
    return View(image, boxes, classes, crowd, first.image_id, first.image_size)


def checked(example: Mapping[str, tf.Tensor], classes: int) -> dict[str, tf.Tensor]:
    """Return the example. A box without area, or a class that is not in 1..K, is an error when it is read."""
    boxes, labels = example["boxes_yxyx"], example["classes"]
    sound = tf.reduce_all((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))  # False for NaN, too
    known = tf.reduce_all((labels >= 1) & (labels <= classes))
    message = ["a box has no area within the image, or a class that is not in 1 to", classes, boxes, labels]
    with tf.control_dependencies([tf.debugging.Assert(sound & known, message)]):
        return {**example, "boxes_yxyx": tf.identity(boxes)}


def assign_targets(
    boxes: tf.Tensor, classes: tf.Tensor, crowd: tf.Tensor, size: int, options: DetectionConfig
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the targets of the anchors: classes int32 [A] and box deltas [A, 4], as in `DetectionBatch`.

    Without anchors they are the boxes themselves, [n] and [n, 4].

    Args:
      boxes: [n, 4] in px of the size × size image. classes: [n] 1..K. crowd: bool [n].
    """
    if options.spec.anchor_free:
        return tf.where(crowd, CROWD, tf.cast(classes, tf.int32)), boxes
    anchors, level_counts = anchors_of(size, options.spec)
    if options.assign == "atss":
        matches = matching.match_by_atss(anchors, boxes, crowd, level_counts=level_counts)
    else:
        matches = matching.match_by_iou(
            anchors, boxes, crowd, positive=options.positive_iou, negative=options.negative_iou
        )
    class_targets, box_targets = matching.gather_targets(matches, anchors, boxes, classes)
    count = len(anchors)
    return tf.ensure_shape(class_targets, [count]), tf.ensure_shape(box_targets, [count, 4])


def _window_size(window: tf.Tensor) -> tf.Tensor:
    """[2] float32, height and width."""
    return tf.cast(window[2:], tf.float32)
