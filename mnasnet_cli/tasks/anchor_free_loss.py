"""The loss of a detector without anchors: which positions learn which boxes, and what that costs."""

from __future__ import annotations

import tensorflow as tf

from mnasnet_cli.config.detection import DetectionConfig
from mnasnet_cli.data.coco import DetectionBatch
from mnasnet_cli.geometry.assignment import Assignment, Scenes, assign_by_alignment, assign_by_cost
from mnasnet_cli.geometry.distances import decode_boxes, encode_distances
from mnasnet_cli.geometry.matching import IGNORED
from mnasnet_cli.modules.postprocessing import box_code_of
from mnasnet_cli.nets.anchor_free import BinnedPredictions
from mnasnet_cli.nets.retinanet import Predictions
from mnasnet_cli.tasks.losses import ciou_loss, giou_loss
from mnasnet_cli.tasks.quality_losses import distribution_focal_loss, quality_focal_loss, varifocal_loss


def anchor_free_loss(
    predictions: Predictions | BinnedPredictions, batch: DetectionBatch, cells: tf.Tensor, options: DetectionConfig
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the loss of each image [N], and what to divide their sum by, [N]: the quality of its matched cells.

    The loss is that of the classes, and of the matched boxes and their bins, weighted by their quality (TOOD, arXiv
    2108.07755, section 3.2.2).

    Args:
      cells: [A, 4] px, the cells of the levels.
    """
    decoded = decode_boxes(predictions.box_deltas, cells, box_code_of(options.spec))
    scenes = Scenes(batch.box_targets, batch.class_targets, decoded, predictions.class_logits, cells)
    found = assign(scenes, options)
    qualities = found.alignment if options.quality == "alignment" else found.overlaps

    rows = tf.cast(tf.where(found.matches >= 0), tf.int32)  # [P, 2]: few of many
    images, owners = rows[:, 0], tf.gather_nd(found.matches, rows)
    learned = tf.stack([images, owners], axis=1)
    targets, classes = tf.gather_nd(scenes.boxes, learned), tf.gather_nd(scenes.classes, learned) - 1
    quality = tf.gather_nd(qualities, rows)

    places = tf.concat([rows, classes[:, tf.newaxis]], axis=1)
    counted = found.matches != IGNORED
    if options.class_loss == "varifocal":
        of_classes = varifocal_loss(scenes.logits, places, quality, counted, options.focal_alpha, options.focal_gamma)
    else:
        of_classes = quality_focal_loss(scenes.logits, places, quality, counted, options.focal_gamma)
    overlap = ciou_loss if options.box_loss == "ciou" else giou_loss
    of_boxes = options.box_weight * overlap(tf.gather_nd(decoded, rows), targets)
    if isinstance(predictions, BinnedPredictions):
        distances = encode_distances(targets, tf.gather(cells, rows[:, 1]))
        bins = tf.gather_nd(predictions.box_bins, rows)
        of_boxes += options.bins_weight * distribution_focal_loss(bins, distances)
    total = of_classes + tf.math.unsorted_segment_sum(of_boxes * quality, images, tf.shape(counted)[0])
    return total, tf.reduce_sum(qualities, axis=1)


def assign(scenes: Scenes, options: DetectionConfig) -> Assignment:
    """Assign cells to boxes as `detection.assign` says."""
    method = assign_by_cost if options.assign == "simota" else assign_by_alignment
    return method(
        scenes,
        candidates=options.match_candidates,
        score_power=options.score_power,
        iou_power=options.iou_power,
    )
