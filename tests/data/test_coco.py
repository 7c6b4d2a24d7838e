"""COCO records to batches: targets by hand, an order and an augmentation from the seed alone, every image once."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from mnasnet_cli.config.detection import DetectionConfig
from mnasnet_cli.config.loading import load_config
from mnasnet_cli.data.coco import CocoRecords, DetectionBatch, anchors_of, assign_targets, checked
from mnasnet_cli.data.pipeline import Share

SIZE, BATCH, TRAIN, VALIDATION = 64, 4, 12, 6
INPUT = dataclasses.replace(load_config("lite", task="detection").preprocessing, image_size=SIZE)
ANCHORS = 6 * (8**2 + 4**2 + 2**2 + 1 + 1)
EVERYTHING = (
    "detection.scale_jitter=[0.5,2.0]", "data.augment.color_jitter=0.3", "data.augment.crop_area=[0.2,1.0]",
    "detection.mosaic=0.5",
)  # fmt: skip
ENDING = ("training.epochs=6", "detection.plain_epochs=2")
# Settings that several tests share: their functions are traced once.
PLAIN = ("detection.min_visible=0", "detection.mosaic=0")
WHOLE = (
    "detection.family=anchor-free", "detection.min_visible=0", "data.augment.crop_area=[1.0,1.0]",
    "data.augment.crop_ratio=[0.1,10]", "data.augment.color_jitter=0", "detection.mixup=0",
)  # fmt: skip


def records_of(directory: Path, *assignments: str) -> CocoRecords:
    settings = [f"training.batch_size={BATCH}", "data.shuffle_buffer=40", *assignments]
    return CocoRecords(directory, load_config("lite", task="detection", assignments=settings))


records_once = functools.cache(records_of)  # its functions are traced once


def train(directory: Path, *assignments: str, epoch: int = 0, skip: int = 0) -> list[DetectionBatch]:
    batches = records_once(directory, *assignments).train_batches(epoch, SIZE, skip, Share(BATCH))
    return [DetectionBatch(*(value.numpy() for value in batch)) for batch in batches]


def same(one: DetectionBatch, two: DetectionBatch) -> bool:
    return all((a == b).all() for a, b in zip(one, two, strict=True))


def test_batches_are_whole_and_have_the_promised_shapes(scene_records: Path) -> None:
    for assignments in (PLAIN, (*EVERYTHING[:-1], "detection.assign=atss")):
        batches = train(scene_records, *assignments)
        assert len(batches) == TRAIN // BATCH
        for batch in batches:
            assert (batch.images.shape, batch.images.dtype) == ((BATCH, SIZE, SIZE, 3), np.float32)
            assert -0.001 <= batch.images.min() <= batch.images.max() <= 255.001
            assert (batch.class_targets.shape, batch.class_targets.dtype) == ((BATCH, ANCHORS), np.int32)
            assert set(np.unique(batch.class_targets)) <= {-1, 0, 1, 2, 3}
            assert batch.box_targets.shape == (BATCH, ANCHORS, 4)
            assert np.isfinite(batch.box_targets).all()
        assert np.concatenate([batch.positions for batch in batches]).tolist() == list(range(TRAIN))
        assert len({identity for batch in batches for identity in batch.image_ids.tolist()}) == TRAIN


@pytest.mark.variation
def test_an_epoch_is_the_same_again_and_another_one_is_not(scene_records: Path) -> None:
    first, other = (train(scene_records, *EVERYTHING, epoch=epoch) for epoch in (3, 4))
    assert not any(same(a, b) for a, b in zip(first, other, strict=True))
    rest = train(scene_records, *EVERYTHING, epoch=3, skip=BATCH)
    assert all(same(a, b) for a, b in zip(first[1:], rest, strict=True))


def test_a_mosaic_shows_the_boxes_of_four_images(scene_records: Path) -> None:
    plain, mosaic = (train(scene_records, *PLAIN[:-1], f"detection.mosaic={share}") for share in (0, 1))
    for alone, together in zip(plain, mosaic, strict=True):
        assert (alone.image_ids == together.image_ids).all()
        assert (alone.images != together.images).any(axis=(1, 2, 3)).all()
        # An image without boxes gets those of its partners.
        assert ((together.class_targets > 0).any(axis=1) >= (alone.class_targets > 0).any(axis=1)).all()


def test_mixup_shows_the_boxes_of_two_images(scene_records: Path) -> None:
    plain, mixed = (train(scene_records, *WHOLE[:-1], f"detection.mixup={share}") for share in (0, 1))
    for alone, blended in zip(plain, mixed, strict=True):
        counts, both = ((batch.class_targets > 0).sum(axis=1) for batch in (alone, blended))
        assert (both == counts + np.roll(counts, -4)).all()  # the partner is four images on, in a batch of four itself
        assert (alone.image_ids == blended.image_ids).all()
        for row, count in enumerate(counts):
            assert (blended.box_targets[row, :count] == alone.box_targets[row, :count]).all()


def test_without_anchors_the_targets_are_the_boxes(scene_records: Path) -> None:
    settings = ("detection.family=anchor-free", *EVERYTHING, "detection.mixup=0.5", "detection.hue_jitter=0.1", *ENDING)
    batches = train(scene_records, *settings, epoch=3)
    for batch in batches:
        most = batch.class_targets.shape[1]
        assert batch.box_targets.shape == (BATCH, most, 4)
        assert set(np.unique(batch.class_targets)) <= {-1, 0, 1, 2, 3}
        assert (batch.class_targets != 0).sum(axis=1).max() == most  # no padding in the fullest image
        real = batch.box_targets[batch.class_targets != 0]
        assert (real[:, 2:] > real[:, :2]).all()
        assert 0 <= real.min() <= real.max() <= SIZE
        assert not batch.box_targets[batch.class_targets == 0].any()
    again = train(scene_records, *settings, epoch=3, skip=BATCH)
    assert all(same(a, b) for a, b in zip(batches[1:], again, strict=True))
    other = train(scene_records, *settings, epoch=2)
    assert not any(same(a, b) for a, b in zip(batches, other, strict=True))
    seen = list(records_of(scene_records, *settings).eval_batches(INPUT, Share(4)))
    assert sorted(np.concatenate([batch.positions for batch in seen]).tolist()) == [-1, -1, *range(VALIDATION)]


def test_the_last_epochs_are_plain(scene_records: Path) -> None:
    settings = ("detection.family=anchor-free", *EVERYTHING, "detection.mixup=0.5", "detection.hue_jitter=0.1", *ENDING)
    for epoch, plain in ((3, False), (4, True), (5, True)):
        varied = train(scene_records, *settings, epoch=epoch)
        expected = train(scene_records, *WHOLE, epoch=epoch)
        assert all(same(a, b) for a, b in zip(varied, expected, strict=True)) == plain


def test_evaluation_sees_every_image_once(scene_records: Path) -> None:
    records = records_of(scene_records)
    for share in (Share(4), Share(1)):
        batches = list(records.eval_batches(INPUT, share))
        positions = np.concatenate([batch.positions for batch in batches])
        assert sorted(positions[positions >= 0].tolist()) == list(range(VALIDATION))
        assert len(positions) == -(-VALIDATION // share.batch_size) * share.batch_size
        padding = np.concatenate([batch.class_targets for batch in batches])[positions < 0]
        assert (padding == -1).all()
    sizes = {int(row["image_id"]): (int(row["height"]), int(row["width"])) for row in records.eval_truth()}
    for batch in records.eval_batches(INPUT, Share(3)):
        for image_id, size in zip(batch.image_ids.numpy().tolist(), batch.image_sizes.numpy(), strict=True):
            assert tuple(size) == sizes[image_id]


def targets(
    boxes: list[list[float]], classes: list[int], crowd: list[bool], **options: object
) -> tuple[np.ndarray, np.ndarray]:
    found = assign_targets(
        tf.reshape(tf.constant(boxes, tf.float32), [-1, 4]),
        tf.constant(classes, tf.int64),
        tf.constant(crowd, tf.bool),
        SIZE,
        DetectionConfig(**options),
    )
    return found[0].numpy(), found[1].numpy()


def test_targets_of_a_box_that_is_an_anchor() -> None:
    # Level 3 has a stride of 8 px and 8 × 8 cells; row 2, column 3 is the 19th, with its center at y 20, x 28. Its
    # first anchor is a square of 4 · 8 = 32 px.
    box = [20 - 16.0, 28 - 16.0, 20 + 16.0, 28 + 16.0]
    classes, deltas = targets([box], [3], [False])
    assert classes[19 * 6] == 3
    np.testing.assert_allclose(deltas[19 * 6], 0.0, atol=1e-5)
    # One cell aside it has an IoU of 24 / 40 = 0.6, and has to move by a quarter of its side, which the coder makes
    # 10 · 8 / 32 = 2.5.
    assert (classes[18 * 6], classes[20 * 6]) == (3, 3)
    np.testing.assert_allclose(deltas[18 * 6], [0, 2.5, 0, 0], atol=1e-5)
    # Two cells aside it has 16 / 48.
    assert classes[17 * 6] == classes[21 * 6] == 0
    assert set(np.unique(classes)) == {0, 3}


def test_crowds_and_images_without_boxes() -> None:
    classes, deltas = targets([], [], [])
    assert not classes.any()
    assert np.isfinite(deltas).all()
    classes, _ = targets([[0, 0, 64, 64]], [1], [True])
    center = (8 * 4 + 4) * 6  # an anchor well inside of the image: nothing is learnt there
    assert classes[center] == -1
    assert not (classes > 0).any()
    classes, _ = targets([[0, 0, 64, 64], [20, 20, 52, 52]], [1, 2], [True, False])
    assert set(np.unique(classes)) == {-1, 0, 2}


@pytest.mark.parametrize("assign", ["iou", "atss"])
def test_two_hundred_boxes_are_all_learnt(assign: str) -> None:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, SIZE - 8, (200, 2))
    boxes = np.concatenate([low, low + rng.uniform(3, 8, (200, 2))], axis=1)
    classes, deltas = targets(boxes.tolist(), [1 + number % 3 for number in range(200)], [False] * 200, assign=assign)
    from mnasnet_cli.geometry import boxes as geometry

    decoded = geometry.decode(deltas[classes > 0], anchors_of(SIZE, DetectionConfig().spec).boxes[classes > 0]).numpy()
    learnt = {tuple(box) for box in decoded.round(1).tolist()}
    assert len(learnt) >= 200


def test_what_is_no_box_or_no_class_is_an_error() -> None:
    sound = {"boxes_yxyx": tf.constant([[0.0, 0.0, 5.0, 5.0]]), "classes": tf.constant([2], tf.int64)}
    assert checked(sound, 3)["boxes_yxyx"].shape == (1, 4)
    for change in (
        {"boxes_yxyx": tf.constant([[0.0, 5.0, 5.0, 5.0]])},
        {"boxes_yxyx": tf.constant([[0.0, 0.0, 5.0, float("nan")]])},
        {"classes": tf.constant([0], tf.int64)},
        {"classes": tf.constant([4], tf.int64)},
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match="a box has no area within the image"):
            checked({**sound, **change}, 3)
