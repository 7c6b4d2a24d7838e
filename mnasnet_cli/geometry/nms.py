"""From what the heads say to a short list of boxes: non-maximum suppression per class, inside the graph.

Exact for the candidates that it keeps, and fast on a CPU, for three reasons. Candidates are (anchor, class) pairs,
at most `candidates` a level, picked by logit before anything is decoded or put through a sigmoid: RetinaNet's thousand
a level (arXiv 1708.02002, section 4.1). Classes are kept apart by moving each to a place of its own, so that one greedy
pass serves all of them. And that pass ends with the last box that is asked for, where
`tf.image.combined_non_max_suppression` runs each class to its end before it merges them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from mnasnet_cli.geometry import boxes as geometry

CANDIDATES = 1000  # a level
IOU_THRESHOLD = 0.6
SCORE_THRESHOLD = 1e-8  # as the Object Detection API's configs have it: AP gains from every box
MAX_DETECTIONS = 100  # an image, over all classes
_ISLANDS = 10  # a row


class Detections(NamedTuple):
    """N images with M places for boxes each, by falling score; unused places are 0.

    boxes: float32 [N, M, 4], ymin, xmin, ymax, xmax in px of the net's input, inside it. scores: float32 [N, M], in
    [0, 1]. classes: int32 [N, M], class numbers 1..K (0 is background). counts: int32 [N], boxes of each image.
    """

    boxes: tf.Tensor
    scores: tf.Tensor
    classes: tf.Tensor
    counts: tf.Tensor


def detect(
    class_logits: tf.Tensor,
    box_deltas: tf.Tensor,
    anchors: tf.Tensor,
    *,
    level_counts: Sequence[int],
    image_size: tuple[int, int],
    candidates: int = CANDIDATES,
    iou_threshold: float = IOU_THRESHOLD,
    score_threshold: float = SCORE_THRESHOLD,
    max_detections: int = MAX_DETECTIONS,
) -> Detections:
    """Decode the heads' output and suppress all but the best of overlapping boxes of the same class.

    Args:
      class_logits: float32 [N, A, K]. box_deltas: float32 [N, A, 4]. anchors: float32 [A, 4] px.
      level_counts: how many of the A anchors each level has, in their order.
      image_size: (height, width) of the net's input, px; boxes are clipped to it.
      candidates: (anchor, class) pairs of a level that are looked at.
      iou_threshold: a box that overlaps a better one of its class by more goes.
      max_detections: M. An image's M best hold at most M of one class, so there is no limit for classes besides.
    """
    logits, anchor_rows, classes = _best_pairs(class_logits, level_counts, candidates)
    boxes = geometry.decode(tf.gather(box_deltas, anchor_rows, batch_dims=1), tf.gather(anchors, anchor_rows))
    return suppress(
        boxes,
        tf.sigmoid(logits),
        classes + 1,
        image_size=image_size,
        iou_threshold=iou_threshold,
        score_threshold=score_threshold,
        max_detections=max_detections,
    )


def suppress(
    boxes: tf.Tensor,
    scores: tf.Tensor,
    classes: tf.Tensor,
    *,
    image_size: tuple[int, int],
    iou_threshold: float = IOU_THRESHOLD,
    score_threshold: float = SCORE_THRESHOLD,
    max_detections: int = MAX_DETECTIONS,
) -> Detections:
    """Greedy suppression per class of boxes [N, C, 4] px, with scores [N, C] and class numbers [N, C].

    As in the Object Detection API, what two boxes share is measured before they are cut at the image's edges: two that
    were different become alike where little of them is left. A box that has no area in the image is not listed.
    """
    inside = geometry.clip(boxes, *image_size)
    scores = tf.where(geometry.area(inside) > 0.0, scores, 0.0)
    apart = _apart(boxes, classes, image_size)

    def one_image(row: tuple[tf.Tensor, ...]) -> Detections:
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
        return Detections(
            tf.where(used[:, tf.newaxis], best[0], 0.0), tf.where(used, best[1], 0.0), tf.where(used, best[2], 0), count
        )

    rows = (apart, inside, scores, classes)
    if boxes.shape[0] == 1:
        # Without a loop, whose outputs have no fixed place in memory: LiteRT's CompiledModel would give what lay there.
        found = one_image(tuple(row[0] for row in rows))
        return Detections(*(part[tf.newaxis] for part in found))
    signature = Detections(
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


def _best_pairs(
    class_logits: tf.Tensor, level_counts: Sequence[int], candidates: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return logits, anchor rows and classes (0..K-1), each [N, C], of every level's best (anchor, class) pairs."""
    class_count = class_logits.shape[-1]
    found: list[tuple[tf.Tensor, ...]] = []
    start = 0
    for count in level_counts:
        logits = class_logits[:, start : start + count]
        rows = tf.broadcast_to(tf.range(count), tf.shape(logits)[:2])
        if count > candidates:
            # The best pairs belong to the anchors with the best classes: few rows have to be sorted, nothing is lost.
            rows = tf.math.top_k(tf.reduce_max(logits, axis=-1), candidates, sorted=False).indices
            logits = tf.gather(logits, rows, batch_dims=1)
        pairs = tf.reshape(logits, [tf.shape(rows)[0], rows.shape[1] * class_count])
        places = tf.broadcast_to(tf.range(pairs.shape[1]), tf.shape(pairs))
        if pairs.shape[1] > candidates:
            pairs, places = tf.math.top_k(pairs, candidates, sorted=False)
        found.append((pairs, tf.gather(rows, places // class_count, batch_dims=1) + start, places % class_count))
        start += count
    logits, anchor_rows, classes = (tf.concat(parts, axis=1) for parts in zip(*found, strict=True))
    return logits, anchor_rows, classes
