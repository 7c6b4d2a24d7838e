"""Compares the outputs of an artifact with those of its checkpoint on the same images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mnasnet_cli.config.task_names import TaskName

Outputs = Mapping[str, np.ndarray]
Predict = Callable[[np.ndarray], Outputs]

# Two classes tie if their logits differ by less: the probability of one is then 1.02 times that of the other.
TIE = 0.02
# Boxes with lower scores are ignored. Nobody looks at them, and an untrained net has no others.
MIN_SCORE = 0.05
# Smaller boxes are ignored, too: they lie outside of the image, and their overlaps depend on rounding.
MIN_AREA = 1e-6  # of the image's area; at 320 px a tenth of a pixel


@dataclass(frozen=True)
class Tolerance:
    """How much a format may differ from its checkpoint."""

    logits: float
    """The largest difference of an image's logits, relative to the image's largest logit."""
    scores: float
    """The largest difference of an image's best score, or of the scores of two matched boxes."""
    iou: float
    """Boxes match from this IoU on."""
    agreement: float
    """The smallest share of images with the same top-1 class, or of boxes that match."""
    share: float = 1.0
    """The share of images (logits) or of scores that must be within the first two limits."""


# Float formats differ in the order of sums only. The measured differences are at most a tenth of these limits.
_FLOAT = Tolerance(logits=1e-3, scores=1e-3, iou=0.99, agreement=0.99)
TOLERANCES: dict[str, Tolerance] = {
    "saved-model": _FLOAT,
    "frozen": _FLOAT,
    "tflite": _FLOAT,
    "onnx": _FLOAT,
    "slim-checkpoint": _FLOAT,
    "web": _FLOAT,
    # Weights keep 11 bits.
    "tflite-fp16": Tolerance(logits=0.02, scores=0.01, iou=0.95, agreement=0.95),
    # Weights and activations keep 8 bits, and outliers of the activations are clipped (see tflite/int8.py).
    "tflite-int8": Tolerance(logits=0.35, scores=0.1, iou=0.7, agreement=0.75, share=0.9),
}


@dataclass(frozen=True)
class Comparison:
    """The differences between an artifact and its checkpoint."""

    images: int
    difference: float
    """The largest difference of a logit or of a score."""
    relative: float
    """The number that the tolerance limits: for logits, relative to an image's largest logit; for scores, absolute."""
    agreement: float | None
    """Share of the images with the same top-1 class, or of the boxes that match; None if there are no boxes."""
    counted: int
    """The number of images or boxes behind `agreement`."""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for JSON."""
        return asdict(self)

    def fault(self, format: str, task: TaskName) -> str:
        """Describe the number that exceeds the format's tolerance; "" if there is none."""
        tolerance = TOLERANCES[format]
        limit = tolerance.logits if task == "classification" else tolerance.scores
        if not self.relative <= limit:  # NaN is a fault, too
            found, allowed = two_numbers(self.relative, limit)
            of = " of the largest" if task == "classification" else ""
            what = "logits" if task == "classification" else "scores"
            return f"{what} differ by {found}{of}; at most {allowed} is allowed"
        if self.agreement is not None and not self.agreement >= tolerance.agreement:
            what = "images have the same top-1 class" if task == "classification" else "boxes match"
            found, required = two_numbers(100 * self.agreement, 100 * tolerance.agreement)
            return f"{found}% of the {what}; at least {required}% is required"
        return ""


def two_numbers(found: float, expected: float) -> tuple[str, str]:
    """Return two numbers with three digits, or as many as they need to look different."""
    digits = next((digits for digits in range(3, 17) if f"{found:.{digits}g}" != f"{expected:.{digits}g}"), 3)
    return f"{found:.{digits}g}", f"{expected:.{digits}g}"


def compare(outputs: Outputs, expected: Outputs, format: str) -> Comparison:
    """Compare the outputs of an artifact with those of the checkpoint, on the same images.

    Args:
      outputs, expected: of a classifier, "logits" [N, C]; of a detector, the outputs of `select_boxes`.
    """
    if "logits" in expected:
        return _compare_logits(outputs["logits"], expected["logits"], TOLERANCES[format])
    return _compare_boxes(outputs, expected, TOLERANCES[format])


def concatenate(batches: Sequence[Outputs]) -> Outputs:
    """Join the outputs of several batches."""
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def _compare_logits(logits: np.ndarray, expected: np.ndarray, tolerance: Tolerance) -> Comparison:
    differences = np.abs(logits - expected).max(axis=-1)
    relative = differences / np.maximum(1.0, np.abs(expected).max(axis=-1))
    rows = np.arange(len(expected))
    agreeing = expected[rows, logits.argmax(axis=-1)] >= expected.max(axis=-1) - TIE
    return Comparison(
        images=len(expected),
        difference=float(differences.max()),
        relative=float(np.quantile(relative, tolerance.share)),
        agreement=float(agreeing.mean()),
        counted=len(expected),
    )


def _compare_boxes(outputs: Outputs, expected: Outputs, tolerance: Tolerance) -> Comparison:
    """Match the boxes in both directions, so that missing boxes and additional boxes both count."""
    images = len(expected["detection_scores"])
    # The best box of an image is never suppressed, so its score doesn't depend on other boxes.
    differences = [np.abs(outputs["detection_scores"][:, 0] - expected["detection_scores"][:, 0])]
    matches = counted = 0
    for image in range(images):
        ours, theirs = _boxes_of_image(outputs, image), _boxes_of_image(expected, image)
        for boxes, others in ((ours, theirs), (theirs, ours)):
            matched, score_differences = _match_boxes(boxes, others, tolerance.iou)
            matches, counted = matches + int(matched.sum()), counted + len(matched)
            differences.append(score_differences[matched])
    scores = np.concatenate(differences)
    return Comparison(
        images=images,
        difference=float(scores.max()),
        relative=float(np.quantile(scores, tolerance.share)),
        agreement=matches / counted if counted else None,
        counted=counted,
    )


def _boxes_of_image(outputs: Outputs, image: int) -> dict[str, np.ndarray]:
    count = int(outputs["num_detections"][image])
    return {name: outputs[f"detection_{name}"][image][:count] for name in ("boxes", "scores", "classes")}


def _match_boxes(
    boxes: Mapping[str, np.ndarray], others: Mapping[str, np.ndarray], iou: float
) -> tuple[np.ndarray, np.ndarray]:
    """Match each of `boxes` that is not ignored with the boxes of its class in `others`.

    Returns:
      whether there is a match, bool [n]; the smallest difference of scores among the matches, float [n].
    """
    kept = (boxes["scores"] >= MIN_SCORE) & (_area(boxes["boxes"]) >= MIN_AREA)
    if not len(others["scores"]):
        return np.zeros(int(kept.sum()), bool), np.zeros(int(kept.sum()))
    overlaps = _iou_matrix(boxes["boxes"][kept], others["boxes"])
    overlaps[boxes["classes"][kept][:, np.newaxis] != others["classes"]] = 0.0
    # There may be several matches: boxes that extend beyond the image become equal when they are clipped.
    matches = overlaps >= iou
    differences = np.abs(boxes["scores"][kept][:, np.newaxis] - others["scores"])
    return np.asarray(matches.any(axis=1)), np.where(matches, differences, np.inf).min(axis=1)


def _iou_matrix(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the IoU [N, M] of boxes [N, 4] and [M, 4]."""
    first, second = first.astype(np.float64), second.astype(np.float64)
    low = np.maximum(first[:, np.newaxis, :2], second[:, :2])
    high = np.minimum(first[:, np.newaxis, 2:], second[:, 2:])
    intersection = np.prod(np.maximum(high - low, 0.0), axis=-1)
    union = _area(first)[:, np.newaxis] + _area(second) - intersection
    return np.asarray(intersection / np.maximum(union, 1e-12))


def _area(boxes: np.ndarray) -> np.ndarray:
    return np.asarray(np.prod(np.maximum(boxes[..., 2:] - boxes[..., :2], 0.0), axis=-1))
