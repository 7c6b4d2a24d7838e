"""Non-maximum suppression per class, inside the graph."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from mnasnet_cli.geometry import boxes as geometry

IOU_THRESHOLD = 0.6
SCORE_THRESHOLD = 1e-8  # as the Object Detection API's configs have it: AP gains from every box
MAX_DETECTIONS = 100  # an image, over all classes
_ISLANDS = 10  # a row


class DetectedBoxes(NamedTuple):
    """N images with M places for boxes each, by falling score; unused places are 0.

    boxes: float32 [N, M, 4], ymin, xmin, ymax, xmax in px of the net's input, inside it. scores: float32 [N, M], in
    [0, 1]. classes: int32 [N, M], class numbers 1..K (0 is background). counts: int32 [N], boxes of each image.
    """

    boxes: tf.Tensor
    scores: tf.Tensor
    classes: tf.Tensor
    counts: tf.Tensor


def suppress(
    boxes: tf.Tensor,
    scores: tf.Tensor,
    classes: tf.Tensor,
    *,
    image_size: tuple[int, int],
    iou_threshold: float = IOU_THRESHOLD,
    score_threshold: float = SCORE_THRESHOLD,
    max_detections: int = MAX_DETECTIONS,
) -> DetectedBoxes:
    """Greedy suppression per class of boxes [N, C, 4] px, with scores [N, C] and class numbers [N, C].

    As in the Object Detection API, what two boxes share is measured before they are cut at the image's edges: two that
    were different become alike where little of them is left. A box that has no area in the image is not listed.
    """
    inside = geometry.clip(boxes, *image_size)
    scores = tf.where(geometry.area(inside) > 0.0, scores, 0.0)
    apart = _apart(boxes, classes, image_size)

    def one_image(row: tuple[tf.Tensor, ...]) -> DetectedBoxes:
        apart, inside, scores, classes = row
        # The op itself: tf.image.non_max_suppression_padded is another program, ten times slower on a CPU.
        kept, count = tf.raw_ops.NonMaxSuppressionV4(
            boxes=apart,
            scores=scores,
            max_output_size=max_detections,
            iou_threshold=iou_threshold,
            score_threshold=score_threshold,
            pad_to_max_output_size=True,
        )
        used = tf.sequence_mask(count, max_detections)
        best = (tf.gather(inside, kept), tf.gather(scores, kept), tf.gather(classes, kept))
        return DetectedBoxes(
            tf.where(used[:, tf.newaxis], best[0], 0.0), tf.where(used, best[1], 0.0), tf.where(used, best[2], 0), count
        )

    rows = (apart, inside, scores, classes)
    if boxes.shape[0] == 1:
        # Without a loop, whose outputs have no fixed place in memory: LiteRT's CompiledModel would give what lay there.
        found = one_image(tuple(row[0] for row in rows))
        return DetectedBoxes(*(part[tf.newaxis] for part in found))
    signature = DetectedBoxes(
        tf.TensorSpec((max_detections, 4), tf.float32),
        tf.TensorSpec((max_detections,), tf.float32),
        tf.TensorSpec((max_detections,), tf.int32),
        tf.TensorSpec((), tf.int32),
    )
    return tf.map_fn(one_image, rows, fn_output_signature=signature)


def _apart(boxes: tf.Tensor, classes: tf.Tensor, image_size: tuple[int, int]) -> tf.Tensor:
    """Return boxes [N, C, 4] with each class's moved to an island of its own, so that no two of different classes meet.

    Islands are three images wide, for boxes stick out; what a box has beyond that is cut off. They lie in rows of ten:
    at 90 classes and 640 px no number grows over 19,200, and float32 still resolves 1/1024 px there.
    """
    row, column = (classes - 1) // _ISLANDS, (classes - 1) % _ISLANDS
    places = []
    for value, island, side in zip(tf.unstack(boxes, axis=-1), (row, column) * 2, image_size * 2, strict=True):
        near = tf.minimum(tf.maximum(value, -1.0 * side), 2.0 * side)
        places.append(near + tf.cast(island, tf.float32) * (3.0 * side + 1.0))
    return tf.stack(places, axis=-1)
