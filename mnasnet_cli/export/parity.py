"""Whether an artifact is the model that it was made from: both run on the same images, and answers are compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mnasnet_cli.config.task_names import TaskName

Outputs = Mapping[str, np.ndarray]
Predict = Callable[[np.ndarray], Outputs]

# Two classes are as good as one another where their logits differ by less: one has 1.02 times the other's probability.
TIE = 0.02
# Boxes with lower scores don't count: no one looks at them, and an untrained net has nothing but them.
COUNTING_SCORE = 0.05
# Nor do boxes that have no area left inside of the image, whose overlap with anything is a matter of rounding.
COUNTING_AREA = 1e-6  # of the image's; at 320 px a tenth of a pixel


@dataclass(frozen=True)
class Tolerance:
    """What a format may do to a model.

    logits: the largest difference of an image's logits over its largest logit. scores: the largest difference of an
    image's best score, or of the score of a box that was found again. iou: of boxes that are taken for the same.
    agreement: share of the images with the same class, or of the boxes that are found again. share: of the images
    (logits) and of the scores, to which the first two apply; the others may differ by more.
    """

    logits: float
    scores: float
    iou: float
    agreement: float
    share: float = 1.0


# Float formats sum in another order, no more: the differences seen are a tenth of what is allowed, or less.
_FLOAT = Tolerance(logits=1e-3, scores=1e-3, iou=0.99, agreement=0.99)
TOLERANCES: dict[str, Tolerance] = {
    "saved-model": _FLOAT,
    "frozen": _FLOAT,
    "tflite": _FLOAT,
    "onnx": _FLOAT,
    "slim-checkpoint": _FLOAT,
    # 11 bits of a weight remain.
    "tflite-fp16": Tolerance(logits=0.02, scores=0.01, iou=0.95, agreement=0.95),
    # 8 bits of everything; and what explodes in the checkpoint is cut off (see calibration.py).
    "tflite-int8": Tolerance(logits=0.35, scores=0.1, iou=0.7, agreement=0.75, share=0.9),
}


@dataclass(frozen=True)
class Comparison:
    """How an artifact compares with its checkpoint."""

    images: int
    difference: float
    """The largest, of a logit or of a score."""
    relative: float
    """What is held against the tolerance: the difference over an image's largest logit; of scores, the difference."""
    agreement: float | None
    """Share of images (top-1) or of boxes; None where no box counts."""
    counted: int
    """Of how many images or boxes that is the share."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def fault(self, form: str, task: TaskName) -> str:
        """What is over the tolerance, in words, or ""."""
        tolerance = TOLERANCES[form]
        limit = tolerance.logits if task == "classification" else tolerance.scores
        if not self.relative <= limit:  # NaN is a fault, too
            what = (
                "logits differ by up to {:.2g} of the largest"
                if task == "classification"
                else "scores differ by {:.2g}"
            )
            return f"{what.format(self.relative)} ({limit:g} is allowed)"
        if self.agreement is not None and not self.agreement >= tolerance.agreement:
            what = "top-1 agrees for" if task == "classification" else "boxes agree for"
            return f"{what} {self.agreement:.1%} ({tolerance.agreement:.0%} is asked)"
        return ""


def compare(got: Outputs, wanted: Outputs, form: str) -> Comparison:
    """Compares the outputs for the same images; those of a classifier have logits."""
    if "logits" in wanted:
        return _compare_logits(got["logits"], wanted["logits"], TOLERANCES[form])
    return _compare_boxes(got, wanted, TOLERANCES[form])


def joined(parts: Sequence[Outputs]) -> Outputs:
    """Outputs for several batches as those for one."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _compare_logits(got: np.ndarray, wanted: np.ndarray, tolerance: Tolerance) -> Comparison:
    """Logits [N, C]."""
    differences = np.abs(got - wanted).max(axis=-1)
    relative = differences / np.maximum(1.0, np.abs(wanted).max(axis=-1))
    rows = np.arange(len(wanted))
    agreeing = wanted[rows, got.argmax(axis=-1)] >= wanted.max(axis=-1) - TIE
    return Comparison(
        images=len(wanted),
        difference=float(differences.max()),
        relative=float(np.quantile(relative, tolerance.share)),
        agreement=float(agreeing.mean()),
        counted=len(wanted),
    )


def _compare_boxes(got: Outputs, wanted: Outputs, tolerance: Tolerance) -> Comparison:
    """Boxes as `functions.select_boxes` gives them; both ways, so that neither lost nor invented boxes pass."""
    images = len(wanted["detection_scores"])
    # An image's best box is suppressed by none, so its score is the same whatever became of the others.
    differences = [np.abs(got["detection_scores"][:, 0] - wanted["detection_scores"][:, 0])]
    found = counted = 0
    for image in range(images):
        one, other = _of_image(got, image), _of_image(wanted, image)
        for boxes, among in ((one, other), (other, one)):
            matched, apart = _found_again(boxes, among, tolerance.iou)
            found, counted = found + int(matched.sum()), counted + len(matched)
            differences.append(apart[matched])
    scores = np.concatenate(differences)
    return Comparison(
        images=images,
        difference=float(scores.max()),
        relative=float(np.quantile(scores, tolerance.share)),
        agreement=found / counted if counted else None,
        counted=counted,
    )


def _of_image(outputs: Outputs, image: int) -> dict[str, np.ndarray]:
    used = int(outputs["num_detections"][image])
    return {name: outputs[f"detection_{name}"][image][:used] for name in ("boxes", "scores", "classes")}


def _found_again(
    boxes: Mapping[str, np.ndarray], among: Mapping[str, np.ndarray], iou: float
) -> tuple[np.ndarray, np.ndarray]:
    """For each box that counts, whether `among` has one of its class there, and the least difference of their scores.

    Returns:
      bool [n]; float [n], without meaning where there is none.
    """
    counting = (boxes["scores"] >= COUNTING_SCORE) & (_area(boxes["boxes"]) >= COUNTING_AREA)
    if not len(among["scores"]):
        return np.zeros(int(counting.sum()), bool), np.zeros(int(counting.sum()))
    overlaps = _iou_matrix(boxes["boxes"][counting], among["boxes"])
    overlaps[boxes["classes"][counting][:, np.newaxis] != among["classes"]] = 0.0
    # Several may lie there: boxes that reach beyond the image in different ways are alike once they are cut.
    there = overlaps >= iou
    apart = np.abs(boxes["scores"][counting][:, np.newaxis] - among["scores"])
    return np.asarray(there.any(axis=1)), np.where(there, apart, np.inf).min(axis=1)


def _iou_matrix(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union [N, M] of boxes [N, 4] and [M, 4]."""
    first, second = first.astype(np.float64), second.astype(np.float64)
    low = np.maximum(first[:, np.newaxis, :2], second[:, :2])
    high = np.minimum(first[:, np.newaxis, 2:], second[:, 2:])
    shared = np.prod(np.maximum(high - low, 0.0), axis=-1)
    union = _area(first)[:, np.newaxis] + _area(second) - shared
    return np.asarray(shared / np.maximum(union, 1e-12))


def _area(boxes: np.ndarray) -> np.ndarray:
    return np.asarray(np.prod(np.maximum(boxes[..., 2:] - boxes[..., :2], 0.0), axis=-1))
