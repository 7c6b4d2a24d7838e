"""COCO's detection metrics: 12 metrics and AP per class, computed by faster-coco-eval or by pycocotools.

pycocotools is the reference. faster-coco-eval gives the same numbers in about a seventh of the time. AP is the mean
precision over 101 recall levels, over the IoU thresholds 0.50, 0.55, …, 0.95 and over classes, with at most 100
detections per image and class (https://cocodataset.org/#detection-eval; Lin et al., "Microsoft COCO", arXiv 1405.0312).
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mnasnet_cli.errors import CheckFailed, ConfigError
from mnasnet_cli.metrics.coco_files import Detections, GroundTruth, paused_garbage_collection

ENGINES = ("faster", "pycocotools")
IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)  # T of them
RECALL_LEVELS = np.linspace(0.0, 1.0, 101)  # R of them
MAX_DETECTIONS = (1, 10, 100)  # per image and class
SELF_CHECK_IMAGES = 500

# name → (table, index of the IoU threshold or None for the mean over all, area range, index into MAX_DETECTIONS)
# Area ranges: 0 all, 1 small (below 32² px²), 2 medium, 3 large (above 96² px²).
COCO_METRICS: dict[str, tuple[str, int | None, int, int]] = {
    "AP": ("precision", None, 0, 2),
    "AP50": ("precision", 0, 0, 2),
    "AP75": ("precision", 5, 0, 2),
    "AP_small": ("precision", None, 1, 2),
    "AP_medium": ("precision", None, 2, 2),
    "AP_large": ("precision", None, 3, 2),
    "AR1": ("recall", None, 0, 0),
    "AR10": ("recall", None, 0, 1),
    "AR100": ("recall", None, 0, 2),
    "AR_small": ("recall", None, 1, 2),
    "AR_medium": ("recall", None, 2, 2),
    "AR_large": ("recall", None, 3, 2),
}


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation.

    Attributes:
      metrics: the 12 COCO metrics by name, as fractions in [0, 1]; None if COCO leaves one undefined (-1).
      images: number of images.
      per_class: per category: class (its id), name, annotations (without crowds), AP and AP50 (None if undefined).
      precision: float [T, R, K], for all areas and up to 100 detections; -1 for categories without annotations.
    """

    metrics: dict[str, float | None]
    images: int
    per_class: list[dict[str, Any]]
    precision: np.ndarray

    def summary(self) -> dict[str, Any]:
        """Return the metrics, images and per_class as one dict."""
        return {**self.metrics, "images": self.images, "per_class": self.per_class}


def evaluate_detections(truth: GroundTruth, detections: Detections, engine: str = "faster") -> Evaluation:
    """Evaluate detections. Those of unknown images or categories do not count.

    Raises:
      ConfigError: the engine is unknown.
    """
    tables = _run(truth, detections, engine, MAX_DETECTIONS)
    metrics = {name: _mean(tables[kind][_select(kind, iou, area, most)])
               for name, (kind, iou, area, most) in COCO_METRICS.items()}  # fmt: skip
    precision = np.asarray(tables["precision"])[:, :, :, 0, -1]
    per_class = []
    for index, category in enumerate(sorted(truth.categories)):
        per_class.append(
            {
                "class": category,
                "name": truth.categories[category],
                "annotations": int(((truth.category_ids == category) & ~truth.crowd).sum()),
                "AP": _mean(precision[:, :, index]),
                "AP50": _mean(precision[0, :, index]),
            }
        )
    return Evaluation(metrics, len(truth.images), per_class, precision)


def self_check(truth: GroundTruth, detections: Detections | None = None, engine: str = "faster") -> None:
    """Evaluate the ground truth as if it were detections. AP must be 1.0.

    Crowds and boxes without area, which overlap nothing, are left out. The limit of 100 detections is lifted, because
    an image may have more boxes of one class.

    Args:
      detections: the ground truth after the evaluator's own resizing, renumbering and rounding, so that an error there
        is found. None: the ground truth itself, on at most SELF_CHECK_IMAGES images, which checks the file and the
        engine.

    Raises:
      CheckFailed: AP is below 1.0.
    """
    keep = (truth.boxes_xywh[:, 2] > 0) & (truth.boxes_xywh[:, 3] > 0)
    if detections is None:
        truth = _sample_images(truth.select(keep), SELF_CHECK_IMAGES)
        detections = truth_as_detections(truth.select(~truth.crowd))
    else:
        truth = truth.select(keep)
    if truth.crowd.all():
        return  # without boxes, AP is undefined
    tables = _run(truth, detections, engine, (1, 10, max(100, len(detections.scores))))
    scores = {name: _mean(tables["precision"][_select("precision", None, area, 2)])
              for name, area in (("AP", 0), ("AP_small", 1), ("AP_medium", 2), ("AP_large", 3))}  # fmt: skip
    # 1 - 1e-6: rounding to float32 may move a box across an IoU threshold.
    wrong = [f"{name} {score:.6f}" for name, score in scores.items() if score is not None and score < 1 - 1e-6]
    if wrong:
        raise CheckFailed(
            f"the self-check of the evaluation failed: the ground truth of {truth.source} as detections has "
            f"{', '.join(wrong)} instead of 1.0; boxes, category ids or image ids are changed by the evaluation"
        )


def truth_as_detections(truth: GroundTruth) -> Detections:
    """Return all annotations as detections with score 1."""
    return Detections(
        truth.source, truth.image_ids, truth.category_ids, truth.boxes_xywh, np.ones(len(truth.image_ids))
    )


def _sample_images(truth: GroundTruth, most: int) -> GroundTruth:
    identities = sorted(truth.images)
    if len(identities) <= most:
        return truth
    chosen = [identities[index] for index in np.linspace(0, len(identities) - 1, most).astype(int)]
    inside = truth.select(np.isin(truth.image_ids, chosen))
    return replace(inside, images={identity: truth.images[identity] for identity in chosen})


def _run(truth: GroundTruth, detections: Detections, engine: str, most: Sequence[int]) -> dict[str, Any]:
    """Return the engine's tables: precision [T, R, K, 4, 3] and recall [T, K, 4, 3]; -1 if undefined.

    The K categories are sorted by id.
    """
    coco_class, evaluator_class = _engine(engine)
    silence = io.StringIO()  # pycocotools prints
    with paused_garbage_collection(), contextlib.redirect_stdout(silence):
        shared = {
            "images": [{"id": identity} for identity in truth.images],
            "categories": [{"id": key, "name": name} for key, name in truth.categories.items()],
        }
        sides = []
        for rows in (_truth_rows(truth), _detection_rows(detections)):
            side = coco_class()  # not loadRes: it adds a polygon to every box and rejects an empty list
            side.dataset = {**shared, "annotations": rows}
            side.createIndex()
            sides.append(side)
        evaluator = evaluator_class(*sides, "bbox")
        evaluator.params.maxDets = list(most)
        evaluator.evaluate()
        evaluator.accumulate()
    return {key: np.asarray(evaluator.eval[key]) for key in ("precision", "recall")}


def _engine(name: str) -> tuple[Any, Any]:
    if name == "faster":
        from faster_coco_eval import COCO, COCOeval_faster

        return COCO, COCOeval_faster
    if name == "pycocotools":
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        return COCO, COCOeval
    raise ConfigError(f"unknown evaluation engine '{name}'; expected {' or '.join(ENGINES)}")


def _truth_rows(truth: GroundTruth) -> list[dict[str, Any]]:
    columns = (truth.image_ids, truth.category_ids, truth.boxes_xywh, truth.areas, truth.crowd.astype(int))
    # Ids start at 1: the engines store the id of a match, and 0 means no match.
    return [
        {"id": number, "image_id": image, "category_id": category, "bbox": box, "area": area, "iscrowd": crowd}
        for number, (image, category, box, area, crowd) in enumerate(_zip(columns), 1)
    ]


def _detection_rows(detections: Detections) -> list[dict[str, Any]]:
    areas = detections.boxes_xywh[:, 2] * detections.boxes_xywh[:, 3]
    columns = (detections.image_ids, detections.category_ids, detections.boxes_xywh, areas, detections.scores)
    return [
        {"id": number, "image_id": image, "category_id": category, "bbox": box, "area": area, "score": score,
         "iscrowd": 0}
        for number, (image, category, box, area, score) in enumerate(_zip(columns), 1)
    ]  # fmt: skip


def _zip(columns: Sequence[np.ndarray]) -> Any:
    """Iterate over the rows as Python values."""
    return zip(*(column.tolist() for column in columns), strict=True)


def _select(kind: str, iou: int | None, area: int, most: int) -> tuple[Any, ...]:
    """Return the index of one metric in a table."""
    thresholds: Any = slice(None) if iou is None else iou
    if kind == "precision":
        return (thresholds, slice(None), slice(None), area, most)
    return (thresholds, slice(None), area, most)


def _mean(values: np.ndarray) -> float | None:
    """Return the mean of the defined values (above -1); None if there are none."""
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else None
