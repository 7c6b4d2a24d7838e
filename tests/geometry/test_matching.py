"""Matching by IoU and by ATSS, with four anchors by hand and with real anchors."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from mnasnet_cli.geometry.anchors import anchors, level_anchors
from mnasnet_cli.geometry.boxes import decode, iou_matrix
from mnasnet_cli.geometry.matching import BACKGROUND, IGNORED, gather_targets, match_by_atss, match_by_iou

# Four anchors of 10 × 10 in a row.
ROW = np.array([[0, 0, 10, 10], [0, 10, 10, 20], [0, 20, 10, 30], [0, 30, 10, 40]], np.float32)


def box(*rows):
    return np.array(rows, np.float32).reshape(-1, 4)


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([], [-1, -1, -1, -1]),
        ([[0, 0, 10, 10]], [0, -1, -1, -1]),
        # IoU 8·10 / (100 + 100 - 80) = 0.67 with the second anchor, 2·10 / 180 = 0.11 with the third.
        ([[0, 12, 10, 22]], [-1, 0, -1, -1]),
        # IoU 4 / 100 is below the threshold: matched with the best anchor all the same.
        ([[4, 24, 6, 26]], [-1, -1, 0, -1]),
        # The small box gets the first anchor. The large one has IoU 1 with it, and 0 with all others.
        ([[4, 4, 6, 6], [0, 0, 10, 10]], [0, -1, -1, -1]),
        # Both prefer the second anchor; the other box takes the third: 10·1/(100 + 100 - 10) against 0.
        ([[0, 10, 10, 20], [0, 11, 10, 21]], [-1, 0, 1, -1]),
        # Overlaps no anchor.
        ([[50, 50, 60, 60]], [-1, -1, -1, -1]),
        ([[5, 5, 5, 5]], [-1, -1, -1, -1]),
    ],
)
def test_match_by_iou(boxes, expected):
    assert match_by_iou(ROW, box(*boxes)).numpy().tolist() == expected


def test_between_the_thresholds_anchors_are_ignored():
    # The box [0, 0, 10, 17] has 100 / 170 = 0.59 with the first anchor and 70 / 200 = 0.35 with the second.
    matches = match_by_iou(ROW, box([0, 0, 10, 17]), positive=0.5, negative=0.3)
    assert matches.numpy().tolist() == [0, IGNORED, BACKGROUND, BACKGROUND]


def test_crowds_are_ignored_and_never_matched():
    boxes = box([0, 0, 10, 10], [0, 0, 10, 26])  # the crowd covers anchors 0 and 1, and 0.6 of anchor 2
    matches = match_by_iou(ROW, boxes, np.array([False, True]))
    assert matches.numpy().tolist() == [0, IGNORED, IGNORED, BACKGROUND]


def random_boxes(count, size=320, seed=0):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, size * 0.9, (count, 2))
    return np.concatenate([corners, corners + np.exp(rng.uniform(1, 5.5, (count, 2)))], 1).astype(np.float32)


@pytest.mark.parametrize("method", ["iou", "atss"])
def test_every_box_gets_an_anchor_even_equal_boxes(method):
    boxes = np.concatenate([random_boxes(60), random_boxes(5), box([100, 100, 103, 103])])  # five of them twice
    levels = level_anchors(320, 320)
    every = np.concatenate(levels)
    if method == "iou":
        matches = match_by_iou(every, boxes).numpy()
    else:
        matches = match_by_atss(every, boxes, level_counts=[len(level) for level in levels]).numpy()
    assert set(matches[matches >= 0]) == set(range(len(boxes)))
    assert (matches >= 0).mean() < 0.2


def test_match_by_iou_in_a_graph_with_any_number_of_boxes():
    every = tf.constant(anchors(128, 128))
    specs = [tf.TensorSpec((None, 4)), tf.TensorSpec((None,), tf.bool)]
    graph = tf.function(lambda b, c: match_by_iou(every, b, c), input_signature=specs, autograph=False)
    for count in (0, 1, 7):
        boxes = random_boxes(count, 128)
        np.testing.assert_array_equal(graph(boxes, np.zeros(count, bool)), match_by_iou(every, boxes))


def test_positive_anchors_are_those_over_the_threshold_and_the_best_of_each_box():
    every, boxes = anchors(320, 320), random_boxes(10)
    overlaps = iou_matrix(boxes, every).numpy()
    matches = match_by_iou(every, boxes).numpy()
    best = set(overlaps.argmax(axis=1))
    for anchor in np.flatnonzero(matches >= 0):
        assert overlaps[:, anchor].max() >= 0.5 or anchor in best
    assert (matches[overlaps.max(axis=0) >= 0.5] >= 0).all()


def test_match_by_atss_by_hand():
    # One level, 3 candidates, one anchor per cell. The center of the box is 9; the candidates are the anchors at 5, 15
    # and 25, with IoU 100/180 = 0.5556, 80/200 = 0.4 and 0. Mean 0.3185, standard deviation
    # √((0.2371² + 0.0815² + 0.3185²) / 2) = 0.2866: 0.6051 is reached by none, so the best one is taken.
    # [0, 0, 10, 12]: center 6; IoU 100/120 = 0.8333, 20/200 = 0.1, 0. Mean 0.3111, deviation 0.4551: the first.
    options = {"level_counts": [4], "candidates": 3, "anchors_per_cell": 1}
    assert match_by_atss(ROW, box([0, 0, 10, 18]), **options).numpy().tolist() == [0, -1, -1, -1]
    assert match_by_atss(ROW, box([0, 0, 10, 12]), **options).numpy().tolist() == [0, -1, -1, -1]


def test_match_by_atss_uses_mean_and_deviation():
    levels = level_anchors(320, 320)
    every, counts = np.concatenate(levels), [len(level) for level in levels]
    boxes = random_boxes(6)
    matches = match_by_atss(every, boxes, np.array([False] * 5 + [True]), level_counts=counts).numpy()
    overlaps = iou_matrix(boxes, every).numpy()
    assert 5 not in matches
    centers = (every[:, :2] + every[:, 2:]) / 2
    for number in range(5):
        mine = np.flatnonzero(matches == number)
        assert len(mine)
        if len(mine) > 1:
            inside = (centers[mine] > boxes[number, :2]) & (centers[mine] < boxes[number, 2:])
            assert inside.all()
            candidates, start = [], 0
            for count in counts:
                middle = (boxes[number, :2] + boxes[number, 2:]) / 2
                order = np.argsort(np.linalg.norm(centers[start : start + count] - middle, axis=1), kind="stable")
                candidates += (order[: min(54, count)] + start).tolist()
                start += count
            values = overlaps[number, candidates]
            assert overlaps[number, mine].min() >= values.mean() + values.std(ddof=1) - 1e-3


def test_gather_targets():
    boxes, classes = box([0, 0, 10, 12], [0, 20, 10, 30]), np.array([7, 3])
    matches = np.array([0, BACKGROUND, 1, IGNORED], np.int32)
    class_targets, deltas = gather_targets(matches, ROW, boxes, classes)
    assert class_targets.numpy().tolist() == [7, 0, 3, -1]
    np.testing.assert_allclose(decode(deltas, ROW)[0], boxes[0], atol=1e-4)
    # Center 1 px to the right of a 10 px anchor: 10 · 0.1; 12 px against 10 px wide: 5 · ln 1.2.
    np.testing.assert_allclose(deltas, [[0, 1, 0, 5 * np.log(1.2)], [0] * 4, [0] * 4, [0] * 4], atol=1e-5)


def test_gather_targets_of_an_image_without_boxes():
    class_targets, deltas = gather_targets(match_by_iou(ROW, box()), ROW, box(), np.zeros(0, np.int64))
    assert class_targets.numpy().tolist() == [0] * 4
    assert not deltas.numpy().any()
