"""The confusion matrix of a detector, and its precision, recall and F1 by class, at one score threshold."""

from __future__ import annotations

import numpy as np

from mnasnet_cli.metrics.coco_files import Detections, GroundTruth, iou_xywh
from mnasnet_cli.metrics.detection_images import MATCH_IOU, match_detections


def confuse_detections(truth: GroundTruth, detections: Detections, threshold: float) -> np.ndarray:
    """Return counts [K + 1, K + 1]: the row is the annotated category, the column the detected one.

    Categories are in the order of `truth.categories`. The last row counts detections that belong to no annotation, the
    last column annotations that were not found. First, correct detections are matched with annotations of their own
    category, see `match_detections`. Then each wrong one, the best score first, takes the annotation that overlaps it
    most among those that are left, if the IoU is at least 0.5. Crowds do not count.

    Args:
      threshold: detections with a lower score do not count.
    """
    places = {category: place for place, category in enumerate(truth.categories)}
    counts = np.zeros((len(places) + 1, len(places) + 1), np.int64)
    kept, found = truth.select(~truth.crowd), _above(detections, threshold)
    correct, ignored = match_detections(truth, found)
    ignored |= ~np.isin(found.category_ids, list(places))
    annotated, detected = _rows_by_image(kept.image_ids), _rows_by_image(found.image_ids)
    nothing = np.zeros(0, np.int64)
    for image in truth.images:
        free, rows = annotated.get(image, nothing), detected.get(image, nothing)
        rows = rows[~ignored[rows]]
        for row in rows[np.lexsort((-found.scores[rows], ~correct[rows]))]:  # correct ones first
            category = int(found.category_ids[row])
            match = _best_match(kept, free, found.boxes_xywh[row], category if correct[row] else None)
            place = len(places) if match is None else places[int(kept.category_ids[match])]
            counts[place, places[category]] += 1
            free = free if match is None else free[free != match]
        for row in free:
            counts[places[int(kept.category_ids[row])], -1] += 1
    return counts


def _above(detections: Detections, threshold: float) -> Detections:
    rows = detections.scores >= threshold
    return Detections(
        detections.source,
        detections.image_ids[rows],
        detections.category_ids[rows],
        detections.boxes_xywh[rows],
        detections.scores[rows],
    )


def _best_match(truth: GroundTruth, rows: np.ndarray, box: np.ndarray, category: int | None) -> int | None:
    """Return the row that overlaps the box most, with an IoU of at least 0.5; `category`: only rows of it."""
    if category is not None:
        rows = rows[truth.category_ids[rows] == category]
    if not len(rows):
        return None
    overlaps = iou_xywh(box[np.newaxis], truth.boxes_xywh[rows])[0]
    best = int(overlaps.argmax())
    return int(rows[best]) if overlaps[best] >= MATCH_IOU else None


def _rows_by_image(image_ids: np.ndarray) -> dict[int, np.ndarray]:
    order = np.argsort(image_ids, kind="stable")
    found, starts = np.unique(image_ids[order], return_index=True)
    return dict(zip(found.tolist(), np.split(order, starts[1:]), strict=True)) if len(order) else {}
