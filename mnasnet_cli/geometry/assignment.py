"""Assignment of cells to ground-truth boxes by what the net predicts: task-aligned, or SimOTA.

Shapes: N images, G boxes of the fullest image, A cells, K classes; P (cell, box) pairs. The classes of boxes are int32
[N, G]: 1..K, CROWD for a region to ignore, 0 for padding. All of it is computed for a batch at a time, without
gradients, and depends on its input alone.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from mnasnet_cli.geometry import boxes as geometry
from mnasnet_cli.geometry.matching import BACKGROUND, IGNORED

CROWD = -1
CANDIDATES = 13  # cells of a box, as in TOOD and RTMDet
SCORE_POWER, IOU_POWER = 1.0, 6.0  # alpha and beta of TOOD
_IOU_COST, _CENTER_BASE, _CENTER_RADIUS = 3.0, 10.0, 3.0  # of RTMDet's cost
_TINY = 1e-7
_NONE = -1e9  # below every rank


class Assignment(NamedTuple):
    """Which box each cell learns, and how well its prediction fits already."""

    matches: tf.Tensor
    """int32 [N, A]: the row of a box, BACKGROUND or IGNORED."""
    overlaps: tf.Tensor
    """float32 [N, A]: IoU of the predicted box with the matched one; 0 without a match."""
    alignment: tf.Tensor
    """float32 [N, A] in [0, 1]: the alignment of score and IoU, scaled so that the best of a box's cells has the
    largest IoU of its cells (TOOD, arXiv 2108.07755, section 3.2.1); 0 without a match."""


class Scenes(NamedTuple):
    """A batch's boxes, and the predictions for it."""

    boxes: tf.Tensor
    """float32 [N, G, 4], px."""
    classes: tf.Tensor
    """int32 [N, G]: 1..K, CROWD, or 0 for padding."""
    predicted: tf.Tensor
    """float32 [N, A, 4], px."""
    logits: tf.Tensor
    """float32 [N, A, K]."""
    cells: tf.Tensor
    """float32 [A, 4], px, the finest level first."""


class _Pairs(NamedTuple):
    """Pairs of a cell and a box that its center lies in."""

    image: tf.Tensor
    """int32 [P], as the next two."""
    box: tf.Tensor
    cell: tf.Tensor
    overlaps: tf.Tensor
    """float32 [P], as the next two."""
    scores: tf.Tensor
    alignment: tf.Tensor


def assign_by_alignment(
    scenes: Scenes, *, candidates: int = CANDIDATES, score_power: float = SCORE_POWER, iou_power: float = IOU_POWER
) -> Assignment:
    """Assign each box the cells with the best alignment t = s^α · u^β (TOOD, arXiv 2108.07755, equation 5).

    s is the score of the box's class, u the IoU of the predicted box. If several boxes want a cell, the one with the
    largest IoU gets it, as in the authors' code.

    Args:
      candidates: the number of cells of a box.
      score_power, iou_power: α and β.
    """
    scenes = Scenes(*map(tf.stop_gradient, scenes))
    inside = _centers_inside(scenes)
    pairs = _measure(scenes, _real(inside, scenes), score_power, iou_power)
    values, cells = tf.math.top_k(_dense(pairs, pairs.alignment, scenes), _at_most(candidates, scenes))
    chosen = _measure(scenes, _chosen(values > 0.0, cells), score_power, iou_power)
    return _assign(scenes, inside, chosen, chosen.overlaps)


def assign_by_cost(
    scenes: Scenes, *, candidates: int = CANDIDATES, score_power: float = SCORE_POWER, iou_power: float = IOU_POWER
) -> Assignment:
    """Assign each box as many of its cheapest cells as the IoUs of its best cells add up to, at least one.

    That is SimOTA (YOLOX, arXiv 2107.08430, section 2.1) with the cost of RTMDet (arXiv 2212.07784, section 3.3):

        cost = CE(s, u) · (u - s)² - 3 ln u + 10^(d - 3)

    s is the score of the box's class, whose target is the IoU u; d is the distance of the centers in strides. If
    several boxes want a cell, the one with the lowest cost gets it.

    Args:
      candidates: the number of a box's best cells whose IoUs are added.
      score_power, iou_power: of `Assignment.alignment` only.
    """
    scenes = Scenes(*map(tf.stop_gradient, scenes))
    inside = _centers_inside(scenes)
    pairs = _measure(scenes, _real(inside, scenes), score_power, iou_power)
    most = _at_most(candidates, scenes)
    best, _ = tf.math.top_k(_dense(pairs, pairs.overlaps, scenes), most)
    wanted = tf.maximum(1, tf.cast(tf.reduce_sum(tf.maximum(best, 0.0), axis=-1), tf.int32))
    values, cells = tf.math.top_k(_dense(pairs, -_cost(scenes, pairs), scenes), most)
    among = tf.range(most) < wanted[..., tf.newaxis]
    chosen = _measure(scenes, _chosen((values > _NONE) & among, cells), score_power, iou_power)
    return _assign(scenes, inside, chosen, -_cost(scenes, chosen))


def _centers_inside(scenes: Scenes) -> tf.Tensor:
    """Return whether the center of a cell lies in a box, bool [N, G, A].

    Boxes smaller than two strides of the finest level count as that large: between the centers there may be none.
    """
    reach = scenes.cells[0, 2] - scenes.cells[0, 0]
    middle = geometry.centers(scenes.boxes)
    low = tf.minimum(scenes.boxes[..., :2], middle - reach)[:, :, tf.newaxis]
    high = tf.maximum(scenes.boxes[..., 2:], middle + reach)[:, :, tf.newaxis]
    y, x = tf.unstack(geometry.centers(scenes.cells), 2, axis=-1)
    rows = (y > low[..., 0]) & (y < high[..., 0])
    return rows & (x > low[..., 1]) & (x < high[..., 1])


def _real(inside: tf.Tensor, scenes: Scenes) -> tf.Tensor:
    """Return the pairs inside boxes that are neither crowds nor padding, int32 [P, 3]: image, box, cell."""
    return tf.cast(tf.where(inside & (scenes.classes > 0)[..., tf.newaxis]), tf.int32)


def _chosen(kept: tf.Tensor, cells: tf.Tensor) -> tf.Tensor:
    """Return the pairs of the cells [N, G, k] that are kept, bool [N, G, k], as int32 [P, 3]."""
    places = tf.cast(tf.where(kept), tf.int32)
    return tf.concat([places[:, :2], tf.gather_nd(cells, places)[:, tf.newaxis]], axis=1)


def _measure(scenes: Scenes, pairs: tf.Tensor, score_power: float, iou_power: float) -> _Pairs:
    """Compare what each pair's cell predicts with its box; pairs: int32 [P, 3]."""
    image, box, cell = tf.unstack(pairs, 3, axis=1)
    of_box, of_cell = pairs[:, :2], tf.stack([image, cell], axis=1)
    overlaps = geometry.iou(tf.gather_nd(scenes.predicted, of_cell), tf.gather_nd(scenes.boxes, of_box))
    own_class = tf.gather_nd(scenes.classes, of_box) - 1
    scores = tf.sigmoid(tf.gather_nd(scenes.logits, tf.stack([image, cell, own_class], axis=1)))
    alignment = tf.pow(scores, score_power) * tf.pow(overlaps, iou_power)
    return _Pairs(image, box, cell, overlaps, scores, alignment)


def _cost(scenes: Scenes, pairs: _Pairs) -> tf.Tensor:
    """Return the cost of `assign_by_cost`, float32 [P]."""
    score, overlap = tf.clip_by_value(pairs.scores, _TINY, 1.0 - _TINY), pairs.overlaps
    entropy = -overlap * tf.math.log(score) - (1.0 - overlap) * tf.math.log(1.0 - score)
    boxes = tf.gather_nd(scenes.boxes, tf.stack([pairs.image, pairs.box], axis=1))
    cells = tf.gather(scenes.cells, pairs.cell)
    apart = tf.norm(geometry.centers(boxes) - geometry.centers(cells), axis=-1) / (cells[:, 2] - cells[:, 0])
    # Limited, because a cell of a fine level may lie many strides from the center of a large box.
    far = tf.pow(_CENTER_BASE, tf.minimum(apart - _CENTER_RADIUS, 6.0))
    return entropy * tf.square(overlap - score) - _IOU_COST * tf.math.log(overlap + _TINY) + far


def _dense(pairs: _Pairs, values: tf.Tensor, scenes: Scenes) -> tf.Tensor:
    """Return the values [P] of pairs in a table [N, G, A], with _NONE elsewhere."""
    shape = [*tf.unstack(tf.shape(scenes.classes)), tf.shape(scenes.cells)[0]]
    places = tf.stack([pairs.image, pairs.box, pairs.cell], axis=1)
    return tf.tensor_scatter_nd_update(tf.fill(shape, _NONE), places, values)


def _at_most(candidates: int, scenes: Scenes) -> tf.Tensor:
    return tf.minimum(candidates, tf.shape(scenes.cells)[0])


def _assign(scenes: Scenes, inside: tf.Tensor, pairs: _Pairs, rank: tf.Tensor) -> Assignment:
    """Give each cell the box of its pair with the highest rank [P]; of equal ones the first box."""
    (images, boxes), cells = tf.unstack(tf.shape(scenes.classes)), tf.shape(scenes.cells)[0]
    place = pairs.image * cells + pairs.cell
    highest = tf.math.unsorted_segment_max(rank, place, images * cells)
    rows = tf.where(rank >= tf.gather(highest, place), pairs.box, boxes)
    owner = tf.math.unsorted_segment_min(rows, place, images * cells)  # `boxes` or more where no pair is
    kept = _Pairs(*(tf.boolean_mask(values, tf.gather(owner, place) == pairs.box) for values in pairs))

    place, box = kept.image * cells + kept.cell, kept.image * boxes + kept.box
    best_alignment, best_overlap = (
        tf.gather(tf.math.unsorted_segment_max(values, box, images * boxes), box)
        for values in (kept.alignment, kept.overlaps)
    )
    scaled = tf.math.divide_no_nan(kept.alignment, best_alignment) * best_overlap

    def table(values: tf.Tensor) -> tf.Tensor:
        return tf.reshape(tf.scatter_nd(place[:, tf.newaxis], values, [images * cells]), [images, cells])

    crowded = tf.reduce_any(inside & (scenes.classes == CROWD)[..., tf.newaxis], axis=1)
    found = tf.reshape(owner, [images, cells])
    matches = tf.where(found < boxes, found, tf.where(crowded, IGNORED, BACKGROUND))
    return Assignment(matches, table(kept.overlaps), table(scaled))
