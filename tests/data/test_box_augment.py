"""Augmentation of boxes: by hand, and beside a pixel that marks where the box is."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from mnasnet_cli.data import box_augment

SEED = tf.constant([1, 2])
FILL = (120.0, 110.0, 100.0)


def seeds(count: int) -> list[tf.Tensor]:
    return [tf.constant([7, number]) for number in range(count)]


def test_boxes_in_a_window() -> None:
    # The window starts at y 10, x 20 and has 40 × 80 px; at 80 px it is doubled down and as it is across.
    found = box_augment.boxes_in_window(tf.constant([[10.0, 20, 30, 60]]), tf.constant([10, 20, 40, 80]), 80)
    np.testing.assert_allclose(found, [[0, 0, 40, 40]])


def test_a_crop_shows_a_part_of_a_box() -> None:
    boxes = tf.constant([[0.0, 0.0, 40.0, 40.0]])
    options = {"area": (0.1, 0.3), "ratio": (0.5, 2.0)}
    for seed in seeds(20):
        window = box_augment.random_crop_window([100, 100, 3], boxes, seed, covered=0.5, **options).numpy()
        y, x, height, width = window.tolist()
        assert 0.09 <= height * width / 10_000 <= 0.31
        assert max(0, min(40, y + height) - y) * max(0, min(40, x + width) - x) >= 0.49 * 40 * 40
    empty = box_augment.random_crop_window([100, 60, 3], boxes[:0], SEED, covered=0.5, **options).numpy()
    assert (empty >= 0).all()
    assert empty[0] + empty[2] <= 100
    assert empty[1] + empty[3] <= 60


def test_zooming_takes_a_part_of_the_window() -> None:
    window = tf.constant([10, 20, 40, 80])
    assert box_augment.zoom_window(window, SEED, tf.constant(0.5)).numpy().tolist() == [10, 20, 40, 80]
    places = set()
    for seed in seeds(20):
        y, x, height, width = box_augment.zoom_window(window, seed, tf.constant(2.0)).numpy().tolist()
        assert (height, width) == (20, 40)
        assert 10 <= y <= 30
        assert 20 <= x <= 60
        places.add((y, x))
    assert len(places) > 10


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.7])
def test_shrinking_moves_boxes_with_the_pixels(factor: float) -> None:
    image = np.zeros((40, 40, 3), np.float32)
    image[8:16, 20:32] = 255
    shrunk, boxes = box_augment.shrink_into_frame(
        tf.constant(image), tf.constant([[8.0, 20, 16, 32]]), SEED, tf.constant(factor), FILL
    )
    assert shrunk.shape == (40, 40, 3)
    rows, columns = np.nonzero(shrunk.numpy()[..., 0] > 200)
    marked = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
    np.testing.assert_allclose(boxes[0], marked, atol=1.0)
    if factor < 1.0:
        assert (np.abs(shrunk.numpy() - FILL).max(axis=-1) < 0.01).mean() == pytest.approx(0.75, abs=0.01)


def test_flipping_moves_boxes_with_the_pixels() -> None:
    image = np.zeros((10, 10, 3), np.float32)
    image[2:4, 1:5] = 255
    found = set()
    for seed in seeds(20):
        flipped, boxes = box_augment.random_flip(tf.constant(image), tf.constant([[2.0, 1, 4, 5]]), seed)
        ymin, xmin, ymax, xmax = (int(side) for side in boxes[0])
        assert (flipped.numpy()[ymin:ymax, xmin:xmax] == 255).all()
        found.add(xmin)
    assert found == {1, 5}


def test_a_mosaic_moves_boxes_with_the_pixels() -> None:
    images, boxes = [], []
    for part in range(4):
        image = np.full((40, 40, 3), 20.0 * part, np.float32)
        image[10:20, 5:25] = 255
        images.append(tf.constant(image))
        boxes.append(tf.reshape(tf.constant([10.0, 5, 20, 25] * part), [part, 4]))  # none in the first
    meetings = set()
    for seed in seeds(10):
        whole, moved = box_augment.mosaic(images, boxes, seed)
        assert whole.shape == (40, 40, 3)
        assert moved.shape == (6, 4)
        for part, row in ((1, 0), (2, 1), (3, 3)):
            ymin, xmin, ymax, xmax = moved[row].numpy().tolist()
            inner = whole[round(ymin + 1) : round(ymax - 1), round(xmin + 1) : round(xmax - 1)].numpy()
            assert inner.size
            assert (inner > 200).all()
            corner = whole[0 if part < 2 else 39, 0 if part % 2 == 0 else 39, 0]
            assert float(corner) == pytest.approx(20.0 * part, abs=1.0)
        meetings.add(tuple(moved[0].numpy().round(2).tolist()))
    assert len(meetings) > 5


def test_what_hardly_shows_is_neither_object_nor_background() -> None:
    # Half of the first is inside, a tenth of the second, nothing of the third; the fourth is a crowd already.
    boxes = tf.constant([[-5.0, 0, 5, 10], [0, 55, 10, 105], [70, 70, 80, 80], [0, 0, 60, 60]])
    cut, classes, crowd = box_augment.keep_visible(
        boxes, tf.constant([1, 2, 3, 4]), tf.constant([False, False, False, True]), 60, 0.25
    )
    np.testing.assert_allclose(cut, [[0, 0, 5, 10], [0, 55, 10, 60], [0, 0, 60, 60]])
    assert classes.numpy().tolist() == [1, 2, 4]
    assert crowd.numpy().tolist() == [False, True, True]
