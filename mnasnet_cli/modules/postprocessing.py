"""A detector's postprocessing: from raw outputs to the best boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import tensorflow as tf

from mnasnet_cli.config.detection import DetectionConfig
from mnasnet_cli.config.pre_postprocessing import AnchorLayout, Postprocessing
from mnasnet_cli.geometry import anchors as anchor_geometry
from mnasnet_cli.geometry import boxes as geometry
from mnasnet_cli.geometry.distances import BoxCode, decode_boxes
from mnasnet_cli.geometry.suppression import (
    IOU_THRESHOLD,
    MAX_DETECTIONS,
    SCORE_THRESHOLD,
    DetectedBoxes,
    non_max_suppression,
)
from mnasnet_cli.nets.detector_spec import DetectorSpec

CANDIDATES = 1000  # per level


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
    box_code: BoxCode = "deltas",
) -> DetectedBoxes:
    """Decode the outputs of the heads, and suppress all but the best of overlapping boxes of the same class.

    Args:
      class_logits: float32 [N, A, K]. box_deltas: float32 [N, A, 4]. anchors: float32 [A, 4] px.
      level_counts: the number of anchors of each level, in the order of the A anchors.
      image_size: (height, width) of the net's input, px; boxes are clipped to it.
      candidates: the number of (anchor, class) pairs per level with the highest scores that are considered.
      iou_threshold: a box with a higher IoU than this with a better box of its class is suppressed.
      score_threshold: boxes with a lower score are dropped.
      max_detections: M, per image. There is no separate limit per class.
      box_code: what `box_deltas` are.
    """
    logits, anchor_rows, classes = _best_pairs(class_logits, level_counts, candidates)
    deltas, anchors = tf.gather(box_deltas, anchor_rows, batch_dims=1), tf.gather(anchors, anchor_rows)
    boxes = decode_boxes(deltas, anchors, box_code)
    return non_max_suppression(
        boxes,
        tf.sigmoid(logits),
        classes + 1,
        image_size=image_size,
        iou_threshold=iou_threshold,
        score_threshold=score_threshold,
        max_detections=max_detections,
    )


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
            # The best pairs belong to the anchors with the best classes, so only their rows need sorting.
            rows = tf.math.top_k(tf.reduce_max(logits, axis=-1), candidates, sorted=False).indices
            logits = tf.gather(logits, rows, batch_dims=1)
        pairs = tf.reshape(logits, [tf.shape(rows)[0], rows.shape[1] * class_count])
        positions = tf.broadcast_to(tf.range(pairs.shape[1]), tf.shape(pairs))
        if pairs.shape[1] > candidates:
            pairs, positions = tf.math.top_k(pairs, candidates, sorted=False)
        anchors = tf.gather(rows, positions // class_count, batch_dims=1) + start
        found.append((pairs, anchors, positions % class_count))
        start += count
    logits, anchor_rows, classes = (tf.concat(values, axis=1) for values in zip(*found, strict=True))
    return logits, anchor_rows, classes


def postprocessing_of(options: DetectionConfig, category_ids: Sequence[int]) -> Postprocessing:
    """Return the postprocessing of a detector; `category_ids` are those of the classes 1..K."""
    spec = options.spec
    layout: AnchorLayout = {
        "min_level": spec.min_level,
        "max_level": spec.max_level,
        "aspect_ratios": list(anchor_geometry.ASPECT_RATIOS),
        "scales_per_octave": anchor_geometry.SCALES_PER_OCTAVE,
        "anchor_scale": anchor_geometry.ANCHOR_SCALE,
    }
    if spec.anchor_free:  # one cell at each position
        layout |= {"aspect_ratios": [1.0], "scales_per_octave": 1, "anchor_scale": 1.0}
    return Postprocessing(
        inside=True,
        category_ids=tuple(category_ids),
        candidates=options.candidates,
        nms_iou=options.nms_iou,
        score_threshold=options.score_threshold,
        max_detections=options.max_detections,
        anchors=layout,
        code_scales=geometry.CODE_SCALES,
        box_code=box_code_of(spec),
    )


def box_code_of(spec: DetectorSpec) -> BoxCode:
    """Return what the net's `box_deltas` are."""
    return cast(BoxCode, spec.box_code)


def level_anchors(options: Postprocessing, image_size: int) -> list[np.ndarray]:
    """Return the anchors (or cells) of each level for images of image_size × image_size px, float32 [a, 4] px."""
    return anchor_geometry.level_anchors(image_size, image_size, **options.anchors)


def select_boxes(
    class_logits: tf.Tensor, box_deltas: tf.Tensor, image_size: int, options: Postprocessing
) -> dict[str, tf.Tensor]:
    """Turn a detector's raw outputs into boxes by falling score. Unused entries are 0.

    Args:
      class_logits: float32 [N, A, K]. box_deltas: float32 [N, A, 4].
      image_size: side of the net's input, px.

    Returns:
      detection_boxes float32 [N, M, 4], ymin, xmin, ymax, xmax in [0, 1] of the image;
      detection_scores float32 [N, M] in [0, 1];
      detection_classes int32 [N, M], category ids of the data set;
      num_detections int32 [N].
    """
    levels = level_anchors(options, image_size)
    found = detect(
        class_logits,
        box_deltas,
        np.concatenate(levels),
        level_counts=[len(level) for level in levels],
        image_size=(image_size, image_size),
        candidates=options.candidates,
        iou_threshold=options.nms_iou,
        score_threshold=options.score_threshold,
        max_detections=options.max_detections,
        box_code=options.box_code,
    )
    categories = tf.constant([0, *options.category_ids], tf.int32)
    return {
        "detection_boxes": found.boxes / float(image_size),
        "detection_scores": found.scores,
        "detection_classes": tf.gather(categories, found.classes),
        "num_detections": found.counts,
    }
