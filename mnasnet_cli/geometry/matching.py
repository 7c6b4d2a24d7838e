"""Which anchor answers for which ground-truth box: by IoU thresholds, or by ATSS.

Symbols: G boxes of one image, A anchors. A match is a box's number 0..G-1, BACKGROUND or IGNORED.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from mnasnet_cli.geometry import boxes as geometry

BACKGROUND, IGNORED = -1, -2
CROWD_SHARE = 0.5  # an anchor that lies by so much in a crowd region is no background
_TAKEN = -1.0  # below every IoU


def match_by_iou(
    anchors: tf.Tensor,
    boxes: tf.Tensor,
    crowd: tf.Tensor | None = None,
    *,
    positive: float = 0.5,
    negative: float = 0.5,
) -> tf.Tensor:
    """Match each anchor with the box that it overlaps most (RetinaNet, arXiv 1708.02002, section 4).

    From the IoU `positive` on an anchor is matched, below `negative` it is background, in between it is ignored. Then
    every box without a match gets one, as small and oddly shaped boxes do not reach the threshold with any anchor. The
    first round of that is the Object Detection API's: a box takes the anchor that it overlaps most, and of two boxes
    that want the same one the first gets it. There the second goes away empty; here it takes the best one that is left.

    Args:
      anchors: [A, 4]. boxes: [G, 4], G may be 0. crowd: bool [G]; crowd regions are matched with nothing, and anchors
        that lie in them by half or more and match no box are ignored.

    Returns: int32 [A].
    """
    overlaps, regions = _overlaps(anchors, boxes, crowd)
    best, matches = _most(overlaps)
    matches = tf.where(best >= positive, matches, tf.where(best < negative, BACKGROUND, IGNORED))
    matches = _match_every_box(matches, overlaps, every=True)
    return _ignore_crowds(matches, anchors, boxes, regions)


def match_by_atss(
    anchors: tf.Tensor,
    boxes: tf.Tensor,
    crowd: tf.Tensor | None = None,
    *,
    level_counts: Sequence[int],
    candidates: int = 9,
    anchors_per_cell: int = 6,
) -> tf.Tensor:
    """Match by adaptive training sample selection (Zhang et al., arXiv 1912.02424, algorithm 1).

    For each box the anchors of the `candidates` nearest cells of each level are candidates; those with an IoU of at
    least the mean plus the standard deviation of all candidates' IoUs, and their center inside the box, are matched. An
    anchor that two boxes want goes to the one that it overlaps more. Boxes left with nothing (small ones, between the
    centers) take the anchor that they overlap most, which is not in the paper.

    Args:
      anchors: [A, 4], level after level, level_counts of them each. boxes, crowd: as in `match_by_iou`.

    Returns: int32 [A], without IGNORED but for crowds.
    """
    overlaps, regions = _overlaps(anchors, boxes, crowd)
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
    # The sample's standard deviation (n - 1), as the authors' program has it.
    spread = tf.sqrt(tf.reduce_sum(tf.square(found - mean), axis=1, keepdims=True) / (found.shape[1] - 1))
    y, x = tf.unstack(tf.gather(centers, chosen), 2, axis=-1)
    ymin, xmin, ymax, xmax = (side[:, tf.newaxis] for side in tf.unstack(boxes, 4, axis=-1))
    inside = (y > ymin) & (y < ymax) & (x > xmin) & (x < xmax)
    kept = tf.where((found >= mean + spread) & inside & (found > 0), found, _TAKEN)
    rows = tf.broadcast_to(tf.range(tf.shape(chosen)[0])[:, tf.newaxis], tf.shape(chosen))
    wanted = tf.tensor_scatter_nd_update(tf.fill(tf.shape(overlaps), _TAKEN), tf.stack([rows, chosen], axis=-1), kept)
    best, matches = _most(wanted)
    matches = _match_every_box(tf.where(best > 0, matches, BACKGROUND), overlaps, every=False)
    return _ignore_crowds(matches, anchors, boxes, regions)


def gather_targets(
    matches: tf.Tensor, anchors: tf.Tensor, boxes: tf.Tensor, classes: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return what each anchor should predict.

    Args:
      matches: int32 [A]. anchors: [A, 4]. boxes: [G, 4]. classes: integers [G], 1..K.

    Returns: class targets int32 [A], 1..K, 0 for background and -1 for ignored; box deltas [A, 4], 0 without a match.
    """
    matched = matches >= 0
    # A row in front, so that there is something to gather for anchors without a box and in images without any.
    every_class = tf.concat([[0], tf.cast(classes, tf.int32)], axis=0)
    every_box = tf.concat([tf.zeros((1, 4)), boxes], axis=0)
    rows = tf.where(matched, matches + 1, 0)
    class_targets = tf.where(matches == IGNORED, -1, tf.gather(every_class, rows))
    targets = tf.where(matched[:, tf.newaxis], tf.gather(every_box, rows), anchors)
    return class_targets, geometry.encode(targets, anchors)


def _overlaps(anchors: tf.Tensor, boxes: tf.Tensor, crowd: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the IoU [G, A], _TAKEN in the rows of crowds, and the crowd mask [G]."""
    regions = tf.zeros(tf.shape(boxes)[:1], tf.bool) if crowd is None else tf.cast(crowd, tf.bool)
    overlaps = geometry.iou_matrix(boxes, anchors)
    return tf.where(regions[:, tf.newaxis], _TAKEN, overlaps), regions


def _most(overlaps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return for each column of [G, A] the largest value and its row; _TAKEN and 0 where G is 0."""
    floor = tf.fill((1, tf.shape(overlaps)[1]), _TAKEN)
    padded = tf.concat([overlaps, floor], axis=0)
    return tf.reduce_max(padded, axis=0), tf.argmax(padded, axis=0, output_type=tf.int32)


def _match_every_box(matches: tf.Tensor, overlaps: tf.Tensor, *, every: bool) -> tf.Tensor:
    """Give every box that overlaps any anchor at least one.

    Args:
      matches: int32 [A]. overlaps: [G, A].
      every: in the first round each box takes its best anchor, whatever it has; else only those with nothing do.
    """
    boxes, count = tf.shape(overlaps)[0], tf.shape(overlaps)[1]

    def wanting(matches: tf.Tensor, taken: tf.Tensor) -> tf.Tensor:
        """Return which boxes have no anchor and overlap one that is still free, bool [G]."""
        # Negative rows are dropped by the op.
        has = tf.math.unsorted_segment_max(tf.ones_like(matches), matches, boxes) > 0
        return ~has & overlapping(taken)

    def overlapping(taken: tf.Tensor) -> tf.Tensor:
        return tf.reduce_max(tf.where(taken[tf.newaxis], _TAKEN, overlaps), axis=1) > 0

    def take(matches: tf.Tensor, want: tf.Tensor, taken: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        free = tf.where(taken[tf.newaxis], _TAKEN, overlaps)
        choice = tf.where(want, tf.argmax(free, axis=1, output_type=tf.int32), -1)
        # Of several boxes that choose an anchor the first one gets it.
        row = tf.math.unsorted_segment_min(tf.range(boxes), choice, count)
        chosen = row < boxes
        matches, taken = tf.where(chosen, row, matches), taken | chosen
        return matches, wanting(matches, taken), taken

    none = tf.zeros_like(matches, tf.bool)
    state = (matches, overlapping(none) if every else wanting(matches, none), none)
    # Ends: in each round a box gets an anchor that no later round takes away.
    return tf.while_loop(lambda matches, want, taken: tf.reduce_any(want), take, state)[0]


def _ignore_crowds(matches: tf.Tensor, anchors: tf.Tensor, boxes: tf.Tensor, regions: tf.Tensor) -> tf.Tensor:
    """Return the matches with background inside crowd regions turned into IGNORED."""
    crowds = tf.boolean_mask(boxes, regions)
    covered = tf.reduce_any(geometry.covered_share(anchors, crowds) >= CROWD_SHARE, axis=1)
    return tf.where((matches == BACKGROUND) & covered, IGNORED, matches)
