"""Non-maximum suppression by hand: classes, thresholds, clipping and padding."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from mnasnet_cli.geometry import boxes as geometry
from mnasnet_cli.geometry.suppression import non_max_suppression


def test_suppression_is_per_class():
    boxes = [
        [0.0, 0, 10, 10],
        [0, 0, 10, 8],  # IoU 0.8 with the first: removed
        [0, 0, 10, 8],  # the same in another class: kept
        [0, 0, 10, 5.5],  # IoU 0.55 with the first, 55/80 = 0.69 with the second, which is removed: kept
        [50, 50, 60, 60],  # score 0: removed
    ]
    scores, classes = [0.9, 0.8, 0.7, 0.6, 0.0], [1, 1, 2, 1, 1]
    result = non_max_suppression(
        tf.constant([boxes]), tf.constant([scores]), tf.constant([classes]), image_size=(64, 64), max_detections=5
    )
    assert result.counts.numpy().tolist() == [3]
    assert result.classes.numpy().tolist() == [[1, 2, 1, 0, 0]]
    np.testing.assert_allclose(result.scores, [[0.9, 0.7, 0.6, 0, 0]])
    np.testing.assert_allclose(result.boxes[0], [boxes[0], boxes[2], boxes[3], [0] * 4, [0] * 4])


def test_boxes_are_clipped_after_suppression():
    boxes = [
        [-20.0, 0, 10, 10],
        [-5, 0, 10, 10],  # IoU 150/300: kept, although both are equal after clipping
        [-5, 0, 9, 10],  # IoU 140/150 with the second: removed
        [-9, 5, 0, 9],  # outside the image: removed, although it is the best of its class
        [30, 64, 40, 70],
    ]
    scores, classes = [0.9, 0.8, 0.7, 0.95, 0.6], [1, 1, 1, 2, 1]
    result = non_max_suppression(
        tf.constant([boxes]), tf.constant([scores]), tf.constant([classes]), image_size=(64, 64)
    )
    assert result.counts.numpy().tolist() == [2]
    np.testing.assert_allclose(result.boxes[0, :3], [[0, 0, 10, 10], [0, 0, 10, 10], [0] * 4])
    np.testing.assert_allclose(result.scores[0, :3], [0.9, 0.8, 0])


def test_boxes_of_different_classes_never_overlap():
    """For each of 91 classes: an enormous box, and one across each edge of the image."""
    around = [[-1e6, -1e6, 1e6, 1e6], [-40, 0, 20, 20], [10, 5, 100, 20], [5, -40, 20, 20], [25, 30, 64, 1e9]]
    boxes, classes = np.tile(np.float32(around), (91, 1)), np.repeat(np.arange(1, 92, dtype=np.int32), len(around))
    scores = np.linspace(0.9, 0.1, len(boxes)).astype(np.float32)
    result = non_max_suppression(
        boxes[None], scores[None], classes[None], image_size=(48, 64), max_detections=len(boxes)
    )
    np.testing.assert_array_equal(result.classes[0], classes)
    np.testing.assert_allclose(result.boxes[0], np.tile(geometry.clip(tf.constant(around), 48, 64), (91, 1)))


def test_thresholds_and_padding():
    boxes = tf.constant([[[0.0, 0, 10, 10], [0, 0, 10, 8], [30, 30, 40, 40]]] * 2)
    scores, classes = tf.constant([[0.9, 0.8, 0.3]] * 2), tf.ones([2, 3], tf.int32)
    options = {"image_size": (64, 64), "max_detections": 4}
    for iou, score, counts in ((0.6, 0.0, 2), (0.9, 0.0, 3), (0.6, 0.5, 1)):
        found = non_max_suppression(boxes, scores, classes, iou_threshold=iou, score_threshold=score, **options)
        assert found.counts.numpy().tolist() == [counts, counts]
        assert found.boxes.shape == (2, 4, 4)
        assert not found.scores.numpy()[:, counts:].any()
        assert not found.classes.numpy()[:, counts:].any()
    found = non_max_suppression(boxes, scores, classes, image_size=(64, 64), max_detections=1)
    assert found.scores.numpy().tolist() == [[np.float32(0.9)]] * 2


def test_one_image_gives_the_same_as_a_batch():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 60, (2, 50, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(1, 20, (2, 50, 2))], -1).astype(np.float32)
    scores, classes = rng.random((2, 50)).astype(np.float32), rng.integers(1, 4, (2, 50)).astype(np.int32)
    batch = non_max_suppression(boxes, scores, classes, image_size=(64, 64))
    for image in range(2):
        part = slice(image, image + 1)
        one = non_max_suppression(boxes[part], scores[part], classes[part], image_size=(64, 64))
        for ours, theirs in zip(one, batch, strict=True):
            np.testing.assert_array_equal(ours[0], theirs[image])
