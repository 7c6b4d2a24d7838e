"""Converts a detector's outputs, and the annotations of records, to the columns that COCO's metrics take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from mnasnet_cli.errors import DataError
from mnasnet_cli.metrics.coco_files import Detections, GroundTruth


def make_truth(rows: Iterable[Mapping[str, Any]], categories: Mapping[int, str], source: str) -> GroundTruth:
    """Return the ground truth of a split, including crowds and areas.

    Args:
      rows: one for each image, with the keys of `parse_coco_example` as NumPy values.
      categories: category id → name, in the order of the classes 1..K.

    Raises:
      DataError: two images have the same id.
    """
    images: dict[int, dict[str, Any]] = {}
    columns: dict[str, list[np.ndarray]] = {key: [] for key in ("boxes_yxyx", "classes", "is_crowd", "area", "ids")}
    for row in rows:
        identity = int(row["image_id"])
        name = row["filename"].decode("utf-8", "replace")
        if identity in images:
            raise DataError(f"{source}: two images have the id {identity}: {images[identity]['file_name']} and {name}")
        images[identity] = {"file_name": name, "width": int(row["width"]), "height": int(row["height"])}
        for key in columns:
            columns[key].append(np.full(len(row["classes"]), identity) if key == "ids" else row[key])
    boxes, classes, crowd, areas, ids = (np.concatenate(values) for values in columns.values())
    return GroundTruth(
        source,
        images,
        dict(categories),
        ids.astype(np.int64),
        np.array(list(categories), np.int64)[classes.astype(np.int64) - 1],
        _as_xywh(boxes.astype(np.float64)),
        areas.astype(np.float64),
        crowd.astype(bool),
    )


def as_detections(outputs: Mapping[str, np.ndarray], source: str) -> Detections:
    """Return the boxes of N images, M places each, as columns, in px of the original images.

    Args:
      outputs: image_ids [N], image_sizes [N, 2] (height and width, px), and what `modules.postprocessing.select_boxes`
        returns.
    """
    used = np.arange(outputs["detection_scores"].shape[1]) < outputs["num_detections"][:, np.newaxis]
    sides = np.tile(outputs["image_sizes"].astype(np.float64), 2)[:, np.newaxis]
    ids = np.broadcast_to(outputs["image_ids"][:, np.newaxis], used.shape)
    return Detections(
        source,
        ids[used].astype(np.int64),
        outputs["detection_classes"][used].astype(np.int64),
        _as_xywh((outputs["detection_boxes"] * sides)[used]),
        outputs["detection_scores"][used].astype(np.float64),
    )


def detected_truth(truth: GroundTruth, outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the ground truth in the form of a net's outputs, without crowds and boxes without area.

    `as_detections` of it must score 1.0. That checks the coordinates, the category ids and the image ids.
    """
    sizes = truth.boxes_xywh[:, 2:]
    kept = truth.select(~truth.crowd & (sizes > 0).all(axis=1))
    image_ids, image_sizes = outputs["image_ids"], outputs["image_sizes"]
    rows = {identity: np.flatnonzero(kept.image_ids == identity) for identity in image_ids.tolist()}
    most = max([1, *map(len, rows.values())])
    count = len(image_ids)
    boxes = np.zeros((count, most, 4), np.float32)
    classes = np.zeros((count, most), np.int32)
    for image, identity in enumerate(image_ids.tolist()):
        own = rows[identity]
        x, y, width, height = kept.boxes_xywh[own].T
        boxes[image, : len(own)] = np.stack([y, x, y + height, x + width], axis=1) / np.tile(image_sizes[image], 2)
        classes[image, : len(own)] = kept.category_ids[own]
    return {
        "image_ids": image_ids,
        "image_sizes": image_sizes,
        "detection_boxes": boxes,
        "detection_classes": classes,
        "detection_scores": np.ones((count, most), np.float32),
        "num_detections": np.array([len(rows[identity]) for identity in image_ids.tolist()], np.int32),
    }


def results_rows(detections: Detections) -> list[dict[str, Any]]:
    """Return detections in COCO's results format: boxes to a hundredth of a pixel, scores to six digits."""
    columns = (
        detections.image_ids,
        detections.category_ids,
        detections.boxes_xywh.round(2),
        detections.scores.round(6),
    )
    return [
        {"image_id": image, "category_id": category, "bbox": box, "score": score}
        for image, category, box, score in zip(*(column.tolist() for column in columns), strict=True)
    ]


def _as_xywh(boxes_yxyx: np.ndarray) -> np.ndarray:
    ymin, xmin, ymax, xmax = boxes_yxyx.T
    return np.stack([xmin, ymin, xmax - xmin, ymax - ymin], axis=1)
