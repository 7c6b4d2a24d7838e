"""COCO's detection metrics: twelve numbers and AP per class, by faster-coco-eval or by pycocotools, the reference.

Both engines give the same numbers; the first takes about a seventh of the time. AP is the mean precision over 101
recall levels, over IoU thresholds 0.50, 0.55, …, 0.95 and over classes, with at most 100 detections per image and class
(https://cocodataset.org/#detection-eval; Lin et al., "Microsoft COCO", arXiv 1405.0312).
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

# name → (precision or recall, index of the IoU threshold or None for the mean of all, area range, index of the maximum)
# Area ranges: 0 all, 1 small (below 32² px²), 2 medium, 3 large (above 96² px²).
NUMBERS: dict[str, tuple[str, int | None, int, int]] = {
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
    """The outcome.

    numbers: the twelve by name, fractions in [0, 1], None where COCO leaves one undefined (-1). images: how many.
    per_class: one entry a category: class (its id), name, annotations (crowds aside), AP, AP50 (None without any).
    precision: float [T, R, K], of all areas and up to 100 detections; -1 for categories without annotations.
    """

    numbers: dict[str, float | None]
    images: int
    per_class: list[dict[str, Any]]
    precision: np.ndarray

    def summary(self) -> dict[str, Any]:
        """Return what the command line's contract names: the twelve numbers, images and per_class."""
        return {**self.numbers, "images": self.images, "per_class": self.per_class}


def evaluate_detections(truth: GroundTruth, detections: Detections, engine: str = "faster") -> Evaluation:
    """Score detections against ground truth; detections of unknown images or categories do not count.

    Raises ConfigError for an unknown engine.
    """
    tables = _run(truth, detections, engine, MAX_DETECTIONS)
    numbers = {name: _mean(tables[kind][_select(kind, iou, area, most)])
               for name, (kind, iou, area, most) in NUMBERS.items()}  # fmt: skip
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
    return Evaluation(numbers, len(truth.images), per_class, precision)


def self_check(truth: GroundTruth, detections: Detections | None = None, engine: str = "faster") -> None:
    """Score ground truth given as detections, which must come out at 1.0; raises CheckFailed where it doesn't.

    An evaluator gives as `detections` the ground truth after its own way of resizing, numbering and writing boxes: so
    a slip there shows before it spoils a number. Without them the boxes are taken as they are, which checks the file
    and the engine, on SELF_CHECK_IMAGES images spread over the file where it has more.

    Crowds are no detections, and boxes without area, which overlap with nothing, are left out on both sides. The limit
    of 100 detections is lifted: an image may have more boxes of one class.
    """
    keep = (truth.boxes_xywh[:, 2] > 0) & (truth.boxes_xywh[:, 3] > 0)
    if detections is None:
        truth = _sample_images(truth.select(keep), SELF_CHECK_IMAGES)
        detections = as_detections(truth.select(~truth.crowd))
    else:
        truth = truth.select(keep)
    if truth.crowd.all():
        return  # no boxes at all: nothing is defined
    tables = _run(truth, detections, engine, (1, 10, max(100, len(detections.scores))))
    scores = {name: _mean(tables["precision"][_select("precision", None, area, 2)])
              for name, area in (("AP", 0), ("AP_small", 1), ("AP_medium", 2), ("AP_large", 3))}  # fmt: skip
    # 1 - 1e-6: float32 boxes on the way may cost a box its place at one of the thresholds, and nothing else may.
    wrong = [f"{name} {score:.6f}" for name, score in scores.items() if score is not None and score < 1 - 1e-6]
    if wrong:
        raise CheckFailed(
            f"the evaluation checked itself and failed: ground truth of {truth.source} given as detections scores "
            f"{', '.join(wrong)}, not 1.0; boxes, class numbers or image ids get changed on the way"
        )


def as_detections(truth: GroundTruth) -> Detections:
    """Return all boxes as detections with score 1."""
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
    """Return the engine's tables: precision [T, R, K, 4, 3] and recall [T, K, 4, 3], -1 where undefined.

    K: the categories in the order of their ids.
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
            side = coco_class()  # filled by hand: loadRes would write a polygon for every box, and refuse an empty list
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
    raise ConfigError(f"no evaluation engine '{name}'; there are {' and '.join(ENGINES)}")


def _truth_rows(truth: GroundTruth) -> list[dict[str, Any]]:
    columns = (truth.image_ids, truth.category_ids, truth.boxes_xywh, truth.areas, truth.crowd.astype(int))
    # Numbered from 1: the engines store the id of the match, and take 0 for "no match".
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
    """Go over the rows as plain Python values."""
    return zip(*(column.tolist() for column in columns), strict=True)


def _select(kind: str, iou: int | None, area: int, most: int) -> tuple[Any, ...]:
    """Return the index into a table of one of the numbers."""
    thresholds: Any = slice(None) if iou is None else iou
    if kind == "precision":
        return (thresholds, slice(None), slice(None), area, most)
    return (thresholds, slice(None), area, most)


def _mean(values: np.ndarray) -> float | None:
    """Return the mean of what is defined, None where nothing is."""
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else None
