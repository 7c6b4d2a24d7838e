"""Operations on boxes: areas, overlaps, clipping, box coding, and the overlap measures of box losses.

A box is [ymin, xmin, ymax, xmax], float32, in px of the net's input. In shapes, N and M count boxes, and "…" is any
leading shape.
"""

from __future__ import annotations

import math

import tensorflow as tf

# Factors of the deltas ty, tx, th, tw: about one over their standard deviation, so that all have a deviation near 1.
# From Faster R-CNN (arXiv 1506.01497); the Object Detection API uses the same.
CODE_SCALES = (10.0, 10.0, 5.0, 5.0)

# Limit of th and tw before the exponential: a box is at most 62.5 times as high or wide as its anchor, as in
# detectron2. Without it, the outputs of an untrained or diverging net give infinite boxes, and NaN in the losses.
MAX_LOG_RATIO = math.log(1000.0 / 16.0)

EPSILON = 1e-8  # px; keeps divisions and logarithms finite for boxes without area


def area(boxes: tf.Tensor) -> tf.Tensor:
    """Return the areas […] of boxes […, 4] in px²; 0 if a side is negative."""
    height, width = _sides(boxes)
    return tf.maximum(height, 0.0) * tf.maximum(width, 0.0)


def intersection_matrix(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Return the intersection areas [N, M] of boxes [N, 4] and [M, 4] in px²."""
    ymin1, xmin1, ymax1, xmax1 = (value[:, tf.newaxis] for value in tf.unstack(first, 4, axis=-1))
    ymin2, xmin2, ymax2, xmax2 = (value[tf.newaxis] for value in tf.unstack(second, 4, axis=-1))
    height = tf.maximum(tf.minimum(ymax1, ymax2) - tf.maximum(ymin1, ymin2), 0.0)
    width = tf.maximum(tf.minimum(xmax1, xmax2) - tf.maximum(xmin1, xmin2), 0.0)
    return height * width


def iou_matrix(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Return intersection over union [N, M] of boxes [N, 4] and [M, 4], in [0, 1]; 0 if either box has no area."""
    shared = intersection_matrix(first, second)
    union = area(first)[:, tf.newaxis] + area(second)[tf.newaxis] - shared
    return tf.math.divide_no_nan(shared, union)


def ioa_matrix(boxes: tf.Tensor, regions: tf.Tensor) -> tf.Tensor:
    """Return intersection over the area of the box [N, M] of boxes [N, 4] and regions [M, 4], in [0, 1].

    COCO uses it for crowd regions, which are larger than each of their objects.
    """
    return tf.math.divide_no_nan(intersection_matrix(boxes, regions), area(boxes)[:, tf.newaxis])


def clip(boxes: tf.Tensor, height: float | tf.Tensor, width: float | tf.Tensor) -> tf.Tensor:
    """Return boxes […, 4] clipped to an image of height × width px. A box outside the image gets area 0."""
    ymin, xmin, ymax, xmax = tf.unstack(boxes, 4, axis=-1)
    height, width = tf.cast(height, boxes.dtype), tf.cast(width, boxes.dtype)

    def clamp(value: tf.Tensor, limit: tf.Tensor) -> tf.Tensor:
        return tf.minimum(tf.maximum(value, 0.0), limit)

    return tf.stack([clamp(ymin, height), clamp(xmin, width), clamp(ymax, height), clamp(xmax, width)], axis=-1)


def centers(boxes: tf.Tensor) -> tf.Tensor:
    """Return the centers (y, x) […, 2] of boxes […, 4]."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2.0


def encode(boxes: tf.Tensor, anchors: tf.Tensor) -> tf.Tensor:
    """Return the deltas […, 4] of boxes […, 4] relative to anchors […, 4].

        ty = 10 (y - ya) / ha    tx = 10 (x - xa) / wa    th = 5 ln(h / ha)    tw = 5 ln(w / wa)

    Centers are y, x; sides are h, w (Faster R-CNN, arXiv 1506.01497, equation 2, times CODE_SCALES).
    """
    height, width = (tf.maximum(side, EPSILON) for side in _sides(boxes))
    anchor_height, anchor_width = (tf.maximum(side, EPSILON) for side in _sides(anchors))
    offset = centers(boxes) - centers(anchors)
    deltas = [
        offset[..., 0] / anchor_height,
        offset[..., 1] / anchor_width,
        tf.math.log(height / anchor_height),
        tf.math.log(width / anchor_width),
    ]
    return tf.stack([delta * scale for delta, scale in zip(deltas, CODE_SCALES, strict=True)], axis=-1)


def decode(deltas: tf.Tensor, anchors: tf.Tensor) -> tf.Tensor:
    """Return the boxes […, 4] for deltas […, 4] relative to anchors […, 4]: the inverse of `encode`.

    Sides are limited to exp(MAX_LOG_RATIO) = 62.5 times those of the anchor.
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
    """Return the elementwise intersection over union […] of boxes […, 4] and […, 4], in [0, 1]."""
    shared = _intersection(first, second)
    return tf.math.divide_no_nan(shared, area(first) + area(second) - shared)


def giou(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Return the elementwise generalized IoU […] of boxes […, 4] and […, 4], in [-1, 1]; the loss is 1 - giou.

        GIoU = IoU - (C - U) / C

    U is the area of the union, and C that of the smallest box around both (Rezatofighi et al., arXiv 1902.09630).
    Unlike IoU, it has a gradient for boxes that do not overlap.
    """
    shared = _intersection(first, second)
    union = area(first) + area(second) - shared
    height, width = _enclosing_sides(first, second)
    enclosing = height * width
    return tf.math.divide_no_nan(shared, union) - tf.math.divide_no_nan(enclosing - union, enclosing)


def ciou(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Return the elementwise complete IoU […] of boxes […, 4] and […, 4], at most 1; the loss is 1 - ciou.

        CIoU = IoU - d² / c² - α v    v = 4 / π² (atan(w₂ / h₂) - atan(w₁ / h₁))²    α = v / (1 - IoU + v)

    d is the distance of the centers, and c the diagonal of the smallest box around both (Zheng et al., arXiv
    1911.08287). α is a weight without gradient, as in the paper.
    """
    overlap = iou(first, second)
    distance = tf.reduce_sum(tf.square(centers(first) - centers(second)), axis=-1)
    height, width = _enclosing_sides(first, second)
    aspect = 4.0 / math.pi**2 * tf.square(_aspect_angle(second) - _aspect_angle(first))
    weight = tf.stop_gradient(tf.math.divide_no_nan(aspect, 1.0 - overlap + aspect))
    return overlap - tf.math.divide_no_nan(distance, tf.square(height) + tf.square(width)) - weight * aspect


def _sides(boxes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]


def _intersection(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    low = tf.maximum(first[..., :2], second[..., :2])
    high = tf.minimum(first[..., 2:], second[..., 2:])
    return tf.reduce_prod(tf.maximum(high - low, 0.0), axis=-1)


def _enclosing_sides(first: tf.Tensor, second: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return height and width of the smallest box around both boxes."""
    low = tf.minimum(first[..., :2], second[..., :2])
    high = tf.maximum(first[..., 2:], second[..., 2:])
    return tf.unstack(high - low, 2, axis=-1)


def _aspect_angle(boxes: tf.Tensor) -> tf.Tensor:
    height, width = _sides(boxes)
    return tf.math.atan2(width, tf.maximum(height, EPSILON))
