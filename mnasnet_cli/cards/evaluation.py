"""What a run keeps of its last evaluation: scores by class, confusions, curves, and the best and worst images."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mnasnet_cli.metrics.accuracy import class_scores, confusion_matrix, scores_of
from mnasnet_cli.metrics.classification_plots import precision_recall
from mnasnet_cli.metrics.coco_map import RECALL_LEVELS, evaluate_detections
from mnasnet_cli.metrics.detection_confusion import confuse_detections
from mnasnet_cli.metrics.detection_images import best_and_worst, draw_image, in_frame_of, score_images
from mnasnet_cli.runs.run_files import EVALUATION_FILE
from mnasnet_cli.system.files import write_atomically
from mnasnet_cli.system.pictures import encode
from mnasnet_cli.tasks.base import Evaluation, Task
from mnasnet_cli.tasks.classification import ClassificationTask
from mnasnet_cli.tasks.detection import DetectionTask

if TYPE_CHECKING:
    from PIL.Image import Image

PICTURES = 8  # best ones, and as many worst ones
CLASSIFIED_SIDE, DETECTED_SIDE = 160, 480  # px of the longer side
CURVES = {"0.50": 0, "0.75": 5}  # IoU → its index among the thresholds


def write_evaluation(path: Path, found: Mapping[str, Any]) -> None:
    """Write evaluation.json into a run."""
    write_atomically(path / EVALUATION_FILE, json.dumps(found, allow_nan=False) + "\n")


def describe_evaluation(task: Task, evaluation: Evaluation, step: int) -> dict[str, Any]:
    """Return what evaluation.json holds; docs/reference/run-directory.md describes the keys."""
    if isinstance(task, ClassificationTask):
        found = _describe_classification(task, evaluation)
    elif isinstance(task, DetectionTask):
        found = _describe_detection(task, evaluation)
    else:
        raise TypeError(f"unknown task {type(task).__name__}")
    return {
        "task": task.config.task,
        "step": step,
        "split": found.pop("split"),
        "fingerprint": task.data_fingerprint,
        "numbers": {key: value for key, value in evaluation.summary.items() if not isinstance(value, list)},
        **found,
    }


def _describe_classification(task: ClassificationTask, evaluation: Evaluation) -> dict[str, Any]:
    outputs = evaluation.outputs
    counts = confusion_matrix(outputs["labels"], outputs["predictions"], len(task.labels))
    classes = [
        {**row, **scores} for row, scores in zip(evaluation.summary["per_class"], class_scores(counts), strict=True)
    ]
    order = np.argsort(outputs["losses"], kind="stable")
    correct = outputs["labels"] == outputs["predictions"]
    best = order[correct[order]][:PICTURES]
    precision = precision_recall(outputs["confidences"], correct, RECALL_LEVELS)
    chosen = {"best": best, "worst": order[::-1][:PICTURES]}
    records = task.records.eval_records(outputs["positions"][np.concatenate([*chosen.values()])].tolist())

    def picture(index: int) -> dict[str, Any]:
        name, encoded = records[int(outputs["positions"][index])]
        return {
            "file": name,
            "true": task.names[outputs["labels"][index]],
            "predicted": task.names[outputs["predictions"][index]],
            "confidence": float(outputs["confidences"][index]),
            "jpeg": _shrink(_open(encoded), CLASSIFIED_SIDE),
        }

    return {
        "split": task.records.eval_split,
        "images": len(outputs["labels"]),
        "classes": classes,
        "confusion": _sparse(counts),
        "curves": {
            "recall": RECALL_LEVELS.round(4).tolist(),
            "precision": {"all classes": precision.round(4).tolist()},
        },
        "pictures": {kind: [picture(int(index)) for index in indices] for kind, indices in chosen.items()},
    }


def _describe_detection(task: DetectionTask, evaluation: Evaluation) -> dict[str, Any]:
    outputs, truth = evaluation.outputs, task.truth
    boxes = task.detections(outputs)
    threshold, scores = score_images(truth, boxes)
    counts = confuse_detections(truth, boxes, threshold)
    by_class = {row["class"]: row for row in evaluation.summary["per_class"]}
    true, predicted = counts.sum(axis=1), counts.sum(axis=0)
    classes = [
        {**by_class[category], **scores_of(*map(int, (counts[place, place], true[place], predicted[place])))}
        for place, category in enumerate(truth.categories)
    ]
    chosen = best_and_worst(scores, PICTURES)
    places = dict(zip(outputs["image_ids"].tolist(), outputs["positions"].tolist(), strict=True))
    records = task.records.eval_records({places[score.image_id] for images in chosen.values() for score in images})

    def picture(score: Any) -> dict[str, Any]:
        name, encoded = records[places[score.image_id]]
        opened = in_frame_of(truth.images[score.image_id], _open(encoded))
        return {
            "file": name,
            "f1": score.f1,
            "annotated": score.annotations,
            "correct": len(score.correct),
            "wrong": len(score.wrong),
            "jpeg": _shrink(draw_image(truth, boxes, score, opened), DETECTED_SIDE),
        }

    return {
        "split": task.records.eval_split,
        "images": len(truth.images),
        "classes": classes,
        "score_threshold": threshold,
        "confusion": _sparse(counts),
        "curves": _curves(evaluate_detections(truth, boxes).precision),
        "pictures": {kind: [picture(score) for score in images] for kind, images in chosen.items()},
    }


def _curves(precision: np.ndarray) -> dict[str, Any]:
    """Return precision over recall, the mean of the classes that have annotations, at several IoU thresholds."""
    defined = precision[:, :, precision[0, 0] > -1]
    if not defined.size:
        return {}
    means = {name: defined[index].mean(axis=1) for name, index in CURVES.items()}
    means["0.50:0.95"] = defined.mean(axis=(0, 2))
    return {
        "recall": RECALL_LEVELS.round(4).tolist(),
        "precision": {name: values.round(4).tolist() for name, values in means.items()},
    }


def _sparse(counts: np.ndarray) -> list[list[int]]:
    """Return the cells above zero as [row, column, count]."""
    return [[int(row), int(column), int(counts[row, column])] for row, column in np.argwhere(counts)]


def _open(encoded: bytes) -> Image:
    from PIL import Image

    opened: Image.Image = Image.open(io.BytesIO(encoded))
    return opened


def _shrink(picture: Image, side: int) -> str:
    """Return a picture of at most side × side px as JPEG in base64."""
    small = picture.convert("RGB")
    small.thumbnail((side, side))
    return base64.b64encode(encode(small, "JPEG", quality=82)).decode()
