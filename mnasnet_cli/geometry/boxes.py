"""Boxes as tensors: areas, overlaps, clipping, the box coder, and what the box losses compare.

A box is [ymin, xmin, ymax, xmax], float32, in pixels of the net's input. Symbols: N and M boxes; "…" any leading shape.
"""

from __future__ import annotations

import math

import tensorflow as tf

# What deltas are multiplied by: about one over their standard deviation, so that all four come out at a spread near 1.
# From Faster R-CNN (arXiv 1506.01497), and as the Object Detection API has them: ty, tx, th, tw.
CODE_SCALES = (10.0, 10.0, 5.0, 5.0)

# Decoding takes e to the power of a predicted number, and an untrained or diverging net predicts any number: without a
# limit one anchor gives an infinite box, and NaN in every loss and overlap that it meets. The limit lets a box be
# 62.5 times its anchor's side, detectron2's 16 px to 1000 px; the smallest anchor here has 32 px.
MAX_LOG_RATIO = math.log(1000.0 / 16.0)

SMALLEST = 1e-8  # px or px²; keeps divisions and logarithms finite for boxes without area, and changes no other


def area(boxes: tf.Tensor) -> tf.Tensor:
    """Return the areas […] of boxes […, 4] in px²; 0 where a side is negative."""
    height, width = _sides(boxes)
    return tf.maximum(height, 0.0) * tf.maximum(width, 0.0)


def intersection_matrix(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Return the shared areas [N, M] of boxes [N, 4] and [M, 4] in px²."""
    ymin1, xmin1, ymax1, xmax1 = (value[:, tf.newaxis] for value in tf.unstack(first, 4, axis=-1))
    ymin2, xmin2, ymax2, xmax2 = (value[tf.newaxis] for value in tf.unstack(second, 4, axis=-1))
    height = tf.maximum(tf.minimum(ymax1, ymax2) - tf.maximum(ymin1, ymin2), 0.0)
    width = tf.maximum(tf.minimum(xmax1, xmax2) - tf.maximum(xmin1, xmin2), 0.0)
    return height * width


def iou_matrix(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Return intersection over union [N, M] of boxes [N, 4] and [M, 4], in [0, 1]; 0 where either has no area."""
    shared = intersection_matrix(first, second)
    union = area(first)[:, tf.newaxis] + area(second)[tf.newaxis] - shared
    return tf.math.divide_no_nan(shared, union)


def covered_share(boxes: tf.Tensor, regions: tf.Tensor) -> tf.Tensor:
    """Return which share [N, M] of each box [N, 4] lies inside each region [M, 4], in [0, 1].

    COCO's overlap with crowds: the box's own area is what it is measured by, since a crowd is larger than any of its
    objects.
    """
    return tf.math.divide_no_nan(intersection_matrix(boxes, regions), area(boxes)[:, tf.newaxis])


def clip(boxes: tf.Tensor, height: float | tf.Tensor, width: float | tf.Tensor) -> tf.Tensor:
    """Return boxes […, 4] cut at an image's edges; one that lies outside is left without area."""
    ymin, xmin, ymax, xmax = tf.unstack(boxes, 4, axis=-1)
    height, width = tf.cast(height, boxes.dtype), tf.cast(width, boxes.dtype)

    def inside(value: tf.Tensor, limit: tf.Tensor) -> tf.Tensor:
        return tf.minimum(tf.maximum(value, 0.0), limit)

    return tf.stack([inside(ymin, height), inside(xmin, width), inside(ymax, height), inside(xmax, width)], axis=-1)


def centers(boxes: tf.Tensor) -> tf.Tensor:
    """Return the centers […, 2] of boxes […, 4], as y and x."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2.0


def encode(boxes: tf.Tensor, anchors: tf.Tensor) -> tf.Tensor:
    """Return the deltas […, 4] that lead from anchors […, 4] to boxes […, 4].

        ty = 10 (y - ya) / ha    tx = 10 (x - xa) / wa    th = 5 ln(h / ha)    tw = 5 ln(w / wa)

    with centers y, x and sides h, w (Faster R-CNN, arXiv 1506.01497, equation 2, times CODE_SCALES).
    """
    height, width = (tf.maximum(side, SMALLEST) for side in _sides(boxes))
    anchor_height, anchor_width = (tf.maximum(side, SMALLEST) for side in _sides(anchors))
    offset = centers(boxes) - centers(anchors)
    deltas = [
        offset[..., 0] / anchor_height,
        offset[..., 1] / anchor_width,
        tf.math.log(height / anchor_height),
        tf.math.log(width / anchor_width),
    ]
    return tf.stack([delta * scale for delta, scale in zip(deltas, CODE_SCALES, strict=True)], axis=-1)


def decode(deltas: tf.Tensor, anchors: tf.Tensor) -> tf.Tensor:
    """Return the boxes […, 4] that deltas […, 4] lead to from anchors […, 4]: the inverse of `encode`.

    Sides stay below exp(MAX_LOG_RATIO) = 62.5 times the anchor's.
    """
    ty, tx, th, tw = (value / scale for value, scale in zip(tf.unstack(deltas, 4, axis=-1), CODE_SCALES, strict=True))
    anchor_height, anchor_width = _sides(anchors)
    center = centers(anchors)
    y = ty * anchor_height + center[..., 0]
    x = tx * anchor_width + center[..., 1]
    half_height = 0.5 * tf.exp(tf.minimum(th, MAX_LOG_RATIO)) * anchor_height
    half_width = 0.5 * tf.exp(tf.minimum(tw, MAX_LOG_RATIO)) * anchor_width
    return tf.stack([y - half_height, x - half_width, y + half_height, x + half_width], axis=-1)


def iou(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Return intersection over union […] of boxes […, 4] with their counterparts […, 4], in [0, 1]."""
    shared = _shared(first, second)
    return tf.math.divide_no_nan(shared, area(first) + area(second) - shared)


def giou(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Return generalized IoU […] of boxes […, 4] with their counterparts […, 4], in [-1, 1]; the loss is 1 - giou.

        GIoU = IoU - (C - U) / C

    with the area U of the union and C of the smallest box around both (Rezatofighi et al., arXiv 1902.09630): unlike
    IoU, it has a gradient where the two don't overlap.
    """
    shared = _shared(first, second)
    union = area(first) + area(second) - shared
    height, width = _hull(first, second)
    around = height * width
    return tf.math.divide_no_nan(shared, union) - tf.math.divide_no_nan(around - union, around)


def ciou(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Return complete IoU […] of boxes […, 4] with their counterparts […, 4], at most 1; the loss is 1 - ciou.

        CIoU = IoU - d² / c² - α v    v = 4 / π² (atan(w₂ / h₂) - atan(w₁ / h₁))²    α = v / (1 - IoU + v)

    with the distance d of the centers and the diagonal c of the smallest box around both (Zheng et al., arXiv
    1911.08287). As there, α is a weight and has no gradient.
    """
    overlap = iou(first, second)
    distance = tf.reduce_sum(tf.square(centers(first) - centers(second)), axis=-1)
    height, width = _hull(first, second)
    aspect = 4.0 / math.pi**2 * tf.square(_angle(second) - _angle(first))
    weight = tf.stop_gradient(tf.math.divide_no_nan(aspect, 1.0 - overlap + aspect))
    return overlap - tf.math.divide_no_nan(distance, tf.square(height) + tf.square(width)) - weight * aspect


def _sides(boxes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]


def _shared(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    low = tf.maximum(first[..., :2], second[..., :2])
    high = tf.minimum(first[..., 2:], second[..., 2:])
    return tf.reduce_prod(tf.maximum(high - low, 0.0), axis=-1)


def _hull(first: tf.Tensor, second: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return height and width of the smallest box around both."""
    low = tf.minimum(first[..., :2], second[..., :2])
    high = tf.maximum(first[..., 2:], second[..., 2:])
    return tf.unstack(high - low, 2, axis=-1)


def _angle(boxes: tf.Tensor) -> tf.Tensor:
    height, width = _sides(boxes)
    return tf.math.atan2(width, tf.maximum(height, SMALLEST))
