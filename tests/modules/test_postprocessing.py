"""Detections from raw outputs, against the Object Detection API, and in a graph with any batch size."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from mnasnet_cli.geometry import boxes as geometry
from mnasnet_cli.geometry.anchors import level_anchors
from mnasnet_cli.modules.postprocessing import detect

LEVELS = level_anchors(128, 128)
COUNTS = [len(level) for level in LEVELS]
ANCHORS = np.concatenate(LEVELS)


def heads(images, classes, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(images, len(ANCHORS), classes)).astype(np.float32) * 2 - 4
    return tf.constant(logits), tf.constant(rng.normal(size=(images, len(ANCHORS), 4)).astype(np.float32))


def as_the_object_detection_api(logits, deltas, size=128):
    """Boxes [M, 4], scores and classes of one image: each class by itself over all anchors, 100 in the end.

    Boxes are cut after suppression, and those left without area go (core/post_processing.py there).
    """
    boxes = geometry.decode(deltas, ANCHORS)
    cut = geometry.clip(boxes, size, size).numpy()
    rows = []
    for number, scores in enumerate(tf.unstack(tf.sigmoid(logits), axis=-1), 1):
        kept = tf.image.non_max_suppression(boxes, scores, 100, 0.6, 1e-8).numpy()
        rows += [(scores[place].numpy(), number, place) for place in kept]
    rows = [row for row in sorted(rows, reverse=True) if geometry.area(cut[row[2]]) > 0][:100]
    scores, classes, places = map(np.array, zip(*rows, strict=True))
    return cut[places], scores, classes


@pytest.mark.parametrize("classes", [1, 7])
def test_equals_the_object_detection_api(classes):
    logits, deltas = heads(2, classes)
    ours = detect(logits, deltas, ANCHORS, level_counts=COUNTS, image_size=(128, 128))
    assert ours.counts.numpy().tolist() == [100, 100]
    for image in range(2):
        boxes, scores, numbers = as_the_object_detection_api(logits[image], deltas[image])
        np.testing.assert_allclose(ours.scores[image], scores, atol=1e-6)
        np.testing.assert_allclose(ours.boxes[image], boxes, atol=1e-4)
        np.testing.assert_array_equal(ours.classes[image], numbers)


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


def test_boxes_of_extreme_outputs_are_inside_the_image():
    logits, deltas = heads(1, 5)
    result = detect(logits, deltas * 1e6, ANCHORS, level_counts=COUNTS, image_size=(128, 128))
    assert np.isfinite(result.boxes).all()
    assert 0 <= result.boxes.numpy().min() <= result.boxes.numpy().max() <= 128
