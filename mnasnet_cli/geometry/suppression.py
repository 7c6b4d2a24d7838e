"""Non-maximum suppression per class as TensorFlow ops."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from mnasnet_cli.geometry import boxes as geometry

IOU_THRESHOLD = 0.6
SCORE_THRESHOLD = 1e-8  # as in the Object Detection API: every further box can raise AP
MAX_DETECTIONS = 100  # per image, over all classes
_CLASSES_PER_ROW = 10


class DetectedBoxes(NamedTuple):
    """At most M boxes in each of N images, sorted by descending score and padded with 0.

    Attributes:
      boxes: float32 [N, M, 4], ymin, xmin, ymax, xmax in px, clipped to the net's input.
      scores: float32 [N, M], in [0, 1].
      classes: int32 [N, M], 1..K; 0 is padding.
      counts: int32 [N], number of boxes.
    """

    boxes: tf.Tensor
    scores: tf.Tensor
    classes: tf.Tensor
    counts: tf.Tensor


def non_max_suppression(
    boxes: tf.Tensor,
    scores: tf.Tensor,
    classes: tf.Tensor,
    *,
    image_size: tuple[int, int],
    iou_threshold: float = IOU_THRESHOLD,
    score_threshold: float = SCORE_THRESHOLD,
    max_detections: int = MAX_DETECTIONS,
) -> DetectedBoxes:
    """Greedy non-maximum suppression per class.

    As in the Object Detection API, the overlap is computed before the boxes are clipped to the image, because clipping
    makes different boxes similar. Boxes outside the image are removed.

    Args:
      boxes: float32 [N, C, 4], px.
      scores: float32 [N, C].
      classes: int32 [N, C], 1..K.
      image_size: (height, width) of the net's input, px.
      iou_threshold: boxes that overlap a better one of their class by more are removed.
      score_threshold: boxes with a lower score are removed.
      max_detections: M.
    """
    clipped = geometry.clip(boxes, *image_size)
    scores = tf.where(geometry.area(clipped) > 0.0, scores, 0.0)
    separated = _separate_classes(boxes, classes, image_size)

    @tf.autograph.experimental.do_not_convert  # takes seconds, and there is nothing to convert
    def one_image(row: tuple[tf.Tensor, ...]) -> DetectedBoxes:
        separated, clipped, scores, classes = row
        # Not tf.image.non_max_suppression_padded, another implementation that is ten times slower on a CPU.
        kept, count = tf.raw_ops.NonMaxSuppressionV4(
            boxes=separated,
            scores=scores,
            max_output_size=max_detections,
            iou_threshold=iou_threshold,
            score_threshold=score_threshold,
            pad_to_max_output_size=True,
        )
        used = tf.sequence_mask(count, max_detections)
        best = (tf.gather(clipped, kept), tf.gather(scores, kept), tf.gather(classes, kept))
        return DetectedBoxes(
            tf.where(used[:, tf.newaxis], best[0], 0.0), tf.where(used, best[1], 0.0), tf.where(used, best[2], 0), count
        )

    rows = (separated, clipped, scores, classes)
    if boxes.shape[0] == 1:
        # No loop: its outputs have dynamic memory, and LiteRT's CompiledModel would return stale values for them.
        single = one_image(tuple(row[0] for row in rows))
        return DetectedBoxes(*(values[tf.newaxis] for values in single))
    signature = DetectedBoxes(
        tf.TensorSpec((max_detections, 4), tf.float32),
        tf.TensorSpec((max_detections,), tf.float32),
        tf.TensorSpec((max_detections,), tf.int32),
        tf.TensorSpec((), tf.int32),
    )
    return tf.map_fn(one_image, rows, fn_output_signature=signature)


def _separate_classes(boxes: tf.Tensor, classes: tf.Tensor, image_size: tuple[int, int]) -> tf.Tensor:
    """Return boxes [N, C, 4] with an offset per class, so that boxes of different classes never overlap.

    Each class has a cell of three image sizes, since boxes extend beyond the image; what is beyond the cell is clipped.
    The cells form rows of ten: with 90 classes and 640 px, coordinates stay below 19,200, where float32 still resolves
    1/1024 px.
    """
    row, column = (classes - 1) // _CLASSES_PER_ROW, (classes - 1) % _CLASSES_PER_ROW
    offset_values = []
    for value, cell, side in zip(tf.unstack(boxes, axis=-1), (row, column) * 2, image_size * 2, strict=True):
        clipped = tf.minimum(tf.maximum(value, -1.0 * side), 2.0 * side)
        offset_values.append(clipped + tf.cast(cell, tf.float32) * (3.0 * side + 1.0))
    return tf.stack(offset_values, axis=-1)
