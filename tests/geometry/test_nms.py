"""Suppression: by hand, beside TensorFlow's combined op, and in a graph with any batch size."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from mnasnet_cli.geometry import boxes as geometry
from mnasnet_cli.geometry.anchors import level_anchors
from mnasnet_cli.geometry.nms import detect, suppress

LEVELS = level_anchors(128, 128)
COUNTS = [len(level) for level in LEVELS]
ANCHORS = np.concatenate(LEVELS)


def test_by_hand():
    boxes = [
        [0.0, 0, 10, 10],
        [0, 0, 10, 8],  # IoU 0.8 with the first: goes
        [0, 0, 10, 8],  # the same in another class: stays
        [0, 0, 10, 5.5],  # IoU 0.55 with the first, 55/80 = 0.69 with the second, which is gone: stays
        [50, 50, 60, 60],  # a score of 0: goes
    ]
    scores, classes = [0.9, 0.8, 0.7, 0.6, 0.0], [1, 1, 2, 1, 1]
    result = suppress(
        tf.constant([boxes]), tf.constant([scores]), tf.constant([classes]), image_size=(64, 64), max_detections=5
    )
    assert result.counts.numpy().tolist() == [3]
    assert result.classes.numpy().tolist() == [[1, 2, 1, 0, 0]]
    np.testing.assert_allclose(result.scores, [[0.9, 0.7, 0.6, 0, 0]])
    np.testing.assert_allclose(result.boxes[0], [boxes[0], boxes[2], boxes[3], [0] * 4, [0] * 4])


def heads(images, classes, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(images, len(ANCHORS), classes)).astype(np.float32) * 2 - 4
    return tf.constant(logits), tf.constant(rng.normal(size=(images, len(ANCHORS), 4)).astype(np.float32))


@pytest.mark.parametrize("classes", [1, 7])
def test_equals_the_combined_op_over_all_anchors(classes):
    logits, deltas = heads(3, classes)
    ours = detect(logits, deltas, ANCHORS, level_counts=COUNTS, image_size=(128, 128))
    boxes = geometry.clip(geometry.decode(deltas, ANCHORS), 128, 128)
    theirs = tf.image.combined_non_max_suppression(
        boxes[:, :, tf.newaxis], tf.sigmoid(logits), 100, 100, 0.6, 1e-8, clip_boxes=False
    )
    assert ours.counts.numpy().tolist() == theirs.valid_detections.numpy().tolist() == [100] * 3
    np.testing.assert_allclose(ours.scores, theirs.nmsed_scores, atol=1e-6)
    np.testing.assert_allclose(ours.boxes, theirs.nmsed_boxes, atol=1e-4)
    np.testing.assert_array_equal(ours.classes.numpy() - 1, theirs.nmsed_classes)


def test_few_candidates_are_the_best_of_each_level():
    logits, deltas = heads(1, 5)
    options = {"level_counts": COUNTS, "image_size": (128, 128), "iou_threshold": 1.0}
    result = detect(logits, deltas, ANCHORS, candidates=3, **options)
    expected, start = [], 0
    for count in COUNTS:
        expected += sorted(logits.numpy()[0, start : start + count].ravel())[-3:]
        start += count
    assert result.counts.numpy().tolist() == [15]
    np.testing.assert_allclose(result.scores[0, :15], tf.sigmoid(sorted(expected, reverse=True)), rtol=1e-5)


def test_in_a_graph_with_any_batch_size():
    specs = [tf.TensorSpec((None, len(ANCHORS), 5)), tf.TensorSpec((None, len(ANCHORS), 4))]

    @tf.function(input_signature=specs, autograph=False)
    def graph(logits, deltas):
        return detect(logits, deltas, ANCHORS, level_counts=COUNTS, image_size=(128, 128))

    for images in (1, 3):
        given = heads(images, 5, seed=images)
        for found, expected in zip(
            graph(*given), detect(*given, ANCHORS, level_counts=COUNTS, image_size=(128, 128)), strict=True
        ):
            np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_net_that_gives_nonsense_gives_boxes_inside_the_image():
    logits, deltas = heads(1, 5)
    result = detect(logits, deltas * 1e6, ANCHORS, level_counts=COUNTS, image_size=(128, 128))
    assert np.isfinite(result.boxes).all()
    assert 0 <= result.boxes.numpy().min() <= result.boxes.numpy().max() <= 128
