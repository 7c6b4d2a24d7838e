"""Areas, overlaps, box coding and the overlap measures of losses, against numbers calculated by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from mnasnet_cli.geometry import boxes

UNIT = [0.0, 0.0, 10.0, 10.0]
OTHERS = [
    [0.0, 0.0, 10.0, 10.0],  # the same: 100 / 100
    [0.0, 5.0, 10.0, 15.0],  # half over: 50 / (100 + 100 - 50)
    [5.0, 5.0, 15.0, 25.0],  # a quarter: 25 / (100 + 200 - 25)
    [20.0, 20.0, 30.0, 30.0],  # apart
    [5.0, 5.0, 5.0, 9.0],  # no area
    [2.0, 2.0, 4.0, 7.0],  # inside: 10 / 100
]


def test_area_is_0_where_a_side_is_negative():
    assert boxes.area(tf.constant([UNIT, [0, 0, 3, 4], [5, 0, 3, 4]])).numpy().tolist() == [100, 12, 0]


def test_iou_matrix():
    result = boxes.iou_matrix(tf.constant([UNIT, OTHERS[4]]), tf.constant(OTHERS)).numpy()
    np.testing.assert_allclose(result, [[1, 50 / 150, 25 / 275, 0, 0, 0.1], [0] * 6], rtol=1e-6)
    np.testing.assert_allclose(boxes.iou(tf.constant([UNIT] * 6), tf.constant(OTHERS)), result[0], rtol=1e-6)


def test_ioa_matrix():
    result = boxes.ioa_matrix(tf.constant(OTHERS), tf.constant([UNIT]))[:, 0].numpy()
    np.testing.assert_allclose(result, [1, 0.5, 25 / 200, 0, 0, 1], rtol=1e-6)


def test_clip():
    result = boxes.clip(tf.constant([[-5.0, -5, 50, 70], [10, 20, 15, 25], [60, 90, 70, 99]]), 40, 60).numpy()
    assert result.tolist() == [[0, 0, 40, 60], [10, 20, 15, 25], [40, 60, 40, 60]]


def test_encode():
    # Anchor: center (10, 20), height 20, width 40. Box: center (15, 18), height 40, width 20.
    # 10·(15-10)/20 = 2.5   10·(18-20)/40 = -0.5   5·ln(40/20) = 3.4657   5·ln(20/40) = -3.4657
    result = boxes.encode(tf.constant([[-5.0, 8, 35, 28]]), tf.constant([[0.0, 0, 20, 40]])).numpy()
    np.testing.assert_allclose(result, [[2.5, -0.5, 5 * math.log(2), -5 * math.log(2)]], rtol=1e-6)


def test_decode_is_the_inverse_of_encode():
    rng = np.random.default_rng(0)
    corners = rng.uniform(-20, 600, (2, 500, 2))
    truth, anchors = np.concatenate([corners, corners + np.exp(rng.uniform(1, 5, (2, 500, 2)))], -1).astype("float32")
    np.testing.assert_allclose(boxes.decode(boxes.encode(truth, anchors), anchors), truth, atol=2e-3)
    np.testing.assert_array_equal(boxes.decode(np.zeros_like(anchors), anchors), boxes.decode(tf.zeros(4), anchors))


def test_decode_is_finite_for_any_deltas():
    # The widest box has 1000/16 = 62.5 times the anchor's 16 px: 1000 px.
    result = boxes.decode(tf.constant([[0.0, 0, 1e9, 1e9]]), tf.constant([[0.0, 0, 16, 16]])).numpy()
    np.testing.assert_allclose(result, [[8 - 500, 8 - 500, 8 + 500, 8 + 500]], rtol=1e-5)
    assert np.isfinite(boxes.encode(tf.constant([[3.0, 3, 3, 3]]), tf.constant([[0.0, 0, 16, 16]]))).all()


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (OTHERS[0], 1.0),
        (OTHERS[1], 50 / 150),  # the enclosing box [0, 0, 10, 15] is the union: nothing to subtract
        (OTHERS[2], 25 / 275 - (15 * 25 - 275) / (15 * 25)),
        (OTHERS[3], 0 - (900 - 200) / 900),
    ],
)
def test_giou(other, expected):
    assert boxes.giou(tf.constant(UNIT), tf.constant(other)).numpy() == pytest.approx(expected, rel=1e-5)


def test_ciou():
    # Centers (5, 5) and (10, 15): d² = 125. Enclosing box 15 × 25: c² = 850. Widths over heights: 1 and 2.
    overlap, v = 25 / 275, 4 / math.pi**2 * (math.atan(2) - math.atan(1)) ** 2
    expected = overlap - 125 / 850 - v / (1 - overlap + v) * v
    assert boxes.ciou(tf.constant(UNIT), tf.constant(OTHERS[2])).numpy() == pytest.approx(expected, rel=1e-5)
    assert boxes.ciou(tf.constant(UNIT), tf.constant(UNIT)).numpy() == pytest.approx(1.0)


@pytest.mark.parametrize("overlap", [boxes.giou, boxes.ciou])
def test_losses_have_finite_gradients_that_bring_boxes_together(overlap):
    # Apart, side by side, the same, without area, both without area.
    start = tf.Variable([OTHERS[3], [1.0, 12, 9, 22], UNIT, OTHERS[4], OTHERS[4]])
    target = tf.constant([UNIT, UNIT, UNIT, UNIT, OTHERS[4]])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(1.0 - overlap(start, target))
    gradient = tape.gradient(loss, start).numpy()
    assert np.isfinite(gradient).all()
    moved = start - 0.1 * gradient / np.abs(gradient[:2]).max()
    assert (overlap(moved, target).numpy()[:2] > overlap(start, target).numpy()[:2]).all()
