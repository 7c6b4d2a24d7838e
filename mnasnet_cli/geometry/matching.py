"""Matching of anchors with ground-truth boxes: by IoU thresholds, or by ATSS.

Shapes: G boxes of one image, A anchors. A match is the index of a box, BACKGROUND or IGNORED.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from mnasnet_cli.geometry import boxes as geometry

BACKGROUND, IGNORED = -1, -2
CROWD_COVERAGE = 0.5  # anchors covered by a crowd region to this share are ignored, not background
_EXCLUDED = -1.0  # below every IoU


def match_by_iou(
    anchors: tf.Tensor,
    boxes: tf.Tensor,
    crowd: tf.Tensor | None = None,
    *,
    positive: float = 0.5,
    negative: float = 0.5,
) -> tf.Tensor:
    """Match each anchor with the box of the highest IoU (RetinaNet, arXiv 1708.02002, section 4).

    An anchor with an IoU of at least `positive` is matched, below `negative` it is background, in between it is
    ignored. Then every box takes the anchor of its highest IoU, because small and unusual boxes reach the threshold
    with no anchor. If two boxes want one anchor, the first gets it. In the Object Detection API the second box stays
    without anchor; here it takes the best remaining one.

    Args:
      anchors: [A, 4].
      boxes: [G, 4]; G may be 0.
      crowd: bool [G]. Crowd regions are never matched. Unmatched anchors that they cover by half or more are ignored.

    Returns:
      matches int32 [A].
    """
    overlaps, is_crowd = _overlaps(anchors, boxes, crowd)
    best, matches = _best_boxes(overlaps)
    matches = tf.where(best >= positive, matches, tf.where(best < negative, BACKGROUND, IGNORED))
    matches = _force_matches(matches, overlaps, all_boxes=True)
    return _ignore_crowds(matches, anchors, boxes, is_crowd)


def match_by_atss(
    anchors: tf.Tensor,
    boxes: tf.Tensor,
    crowd: tf.Tensor | None = None,
    *,
    level_counts: Sequence[int],
    candidates: int = 9,
    anchors_per_cell: int = 6,
) -> tf.Tensor:
    """Match by adaptive training sample selection, ATSS (Zhang et al., arXiv 1912.02424, algorithm 1).

    The candidates of a box are the anchors of the `candidates` nearest cells on each level. A candidate is matched if
    its IoU is at least the mean plus the standard deviation of the IoUs of all candidates, and its center is inside the
    box. If two boxes match an anchor, the one with the higher IoU gets it. Boxes without any match (small ones between
    the centers) take the anchor of the highest IoU; this is not in the paper.

    Args:
      anchors: [A, 4], sorted by level.
      boxes, crowd: as in `match_by_iou`.
      level_counts: number of anchors on each level.

    Returns:
      matches int32 [A]; IGNORED only in crowds.
    """
    overlaps, is_crowd = _overlaps(anchors, boxes, crowd)
    centers = geometry.centers(anchors)
    distance = tf.norm(geometry.centers(boxes)[:, tf.newaxis] - centers[tf.newaxis], axis=-1)
    nearest, start = [], 0
    for count in level_counts:
        most = min(candidates * anchors_per_cell, count)
        nearest.append(tf.math.top_k(-distance[:, start : start + count], most).indices + start)
        start += count
    chosen = tf.concat(nearest, axis=1)  # [G, C]
    found = tf.gather(overlaps, chosen, batch_dims=1)
    mean = tf.reduce_mean(found, axis=1, keepdims=True)
    # The sample standard deviation (n - 1), as in the authors' code.
    spread = tf.sqrt(tf.reduce_sum(tf.square(found - mean), axis=1, keepdims=True) / (found.shape[1] - 1))
    y, x = tf.unstack(tf.gather(centers, chosen), 2, axis=-1)
    ymin, xmin, ymax, xmax = (side[:, tf.newaxis] for side in tf.unstack(boxes, 4, axis=-1))
    inside = (y > ymin) & (y < ymax) & (x > xmin) & (x < xmax)
    kept = tf.where((found >= mean + spread) & inside & (found > 0), found, _EXCLUDED)
    rows = tf.broadcast_to(tf.range(tf.shape(chosen)[0])[:, tf.newaxis], tf.shape(chosen))
    excluded = tf.fill(tf.shape(overlaps), _EXCLUDED)
    selected = tf.tensor_scatter_nd_update(excluded, tf.stack([rows, chosen], axis=-1), kept)
    best, matches = _best_boxes(selected)
    matches = _force_matches(tf.where(best > 0, matches, BACKGROUND), overlaps, all_boxes=False)
    return _ignore_crowds(matches, anchors, boxes, is_crowd)


def gather_targets(
    matches: tf.Tensor, anchors: tf.Tensor, boxes: tf.Tensor, classes: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the training targets of each anchor.

    Args:
      matches: int32 [A].
      anchors: [A, 4].
      boxes: [G, 4].
      classes: integers [G], 1..K.

    Returns:
      class targets int32 [A]: 1..K, 0 for background, -1 for ignored; and box deltas [A, 4], 0 without a match.
    """
    matched = matches >= 0
    # An extra first row for anchors without a box, and for images without boxes.
    every_class = tf.concat([[0], tf.cast(classes, tf.int32)], axis=0)
    every_box = tf.concat([tf.zeros((1, 4)), boxes], axis=0)
    rows = tf.where(matched, matches + 1, 0)
    class_targets = tf.where(matches == IGNORED, -1, tf.gather(every_class, rows))
    targets = tf.where(matched[:, tf.newaxis], tf.gather(every_box, rows), anchors)
    return class_targets, geometry.encode(targets, anchors)


def _overlaps(anchors: tf.Tensor, boxes: tf.Tensor, crowd: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the IoU [G, A], with _EXCLUDED in the rows of crowds, and the crowd mask [G]."""
    is_crowd = tf.zeros(tf.shape(boxes)[:1], tf.bool) if crowd is None else tf.cast(crowd, tf.bool)
    overlaps = geometry.iou_matrix(boxes, anchors)
    return tf.where(is_crowd[:, tf.newaxis], _EXCLUDED, overlaps), is_crowd


def _best_boxes(overlaps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the highest overlap in each column of [G, A] and its row; _EXCLUDED and 0 if G is 0."""
    padding = tf.fill((1, tf.shape(overlaps)[1]), _EXCLUDED)
    padded = tf.concat([overlaps, padding], axis=0)
    return tf.reduce_max(padded, axis=0), tf.argmax(padded, axis=0, output_type=tf.int32)


def _force_matches(matches: tf.Tensor, overlaps: tf.Tensor, *, all_boxes: bool) -> tf.Tensor:
    """Return matches in which every box that overlaps an anchor has at least one.

    Args:
      matches: int32 [A].
      overlaps: [G, A].
      all_boxes: whether each box takes its best anchor in the first round; else only boxes without a match do.
    """
    boxes, count = tf.shape(overlaps)[0], tf.shape(overlaps)[1]

    def overlap_free_anchor(assigned: tf.Tensor) -> tf.Tensor:
        return tf.reduce_max(tf.where(assigned[tf.newaxis], _EXCLUDED, overlaps), axis=1) > 0

    def pending_boxes(matches: tf.Tensor, assigned: tf.Tensor) -> tf.Tensor:
        """Return which boxes have no match and overlap an anchor that is not assigned yet, bool [G]."""
        # The op ignores negative segment ids.
        matched = tf.math.unsorted_segment_max(tf.ones_like(matches), matches, boxes) > 0
        return ~matched & overlap_free_anchor(assigned)

    def assign(matches: tf.Tensor, pending: tf.Tensor, assigned: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        free = tf.where(assigned[tf.newaxis], _EXCLUDED, overlaps)
        choice = tf.where(pending, tf.argmax(free, axis=1, output_type=tf.int32), -1)
        # If several boxes choose an anchor, the first one gets it.
        row = tf.math.unsorted_segment_min(tf.range(boxes), choice, count)
        chosen = row < boxes
        matches, assigned = tf.where(chosen, row, matches), assigned | chosen
        return matches, pending_boxes(matches, assigned), assigned

    none = tf.zeros_like(matches, tf.bool)
    state = (matches, overlap_free_anchor(none) if all_boxes else pending_boxes(matches, none), none)
    # The loop ends: each round assigns an anchor to a box, and later rounds keep it.
    return tf.while_loop(lambda matches, pending, assigned: tf.reduce_any(pending), assign, state)[0]


def _ignore_crowds(matches: tf.Tensor, anchors: tf.Tensor, boxes: tf.Tensor, is_crowd: tf.Tensor) -> tf.Tensor:
    """Return matches in which background inside crowd regions is IGNORED."""
    crowds = tf.boolean_mask(boxes, is_crowd)
    covered = tf.reduce_any(geometry.ioa_matrix(anchors, crowds) >= CROWD_COVERAGE, axis=1)
    return tf.where((matches == BACKGROUND) & covered, IGNORED, matches)
