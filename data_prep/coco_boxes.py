"""From annotations as they stand in the file to boxes that training can use: checked, clipped, sorted by image."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from data_prep.coco_annotations import AnnotationFile, Fault

TOLERANCE = 1e-3  # px; COCO's boxes are rounded to 0.01 px, sums of such numbers overshoot by less
UNKNOWN_IMAGE = "its image is not in the file"
UNKNOWN_CATEGORY = "its category is not in the file"
DUPLICATE = "its annotation id occurs twice"
NO_BOX_AREA = "its box has no area"
OUTSIDE = "its box lies outside the image"


@dataclass(frozen=True)
class Boxes:
    """The boxes of the images of one split, image by image.

    starts: [images + 1], image i has boxes starts[i]:starts[i + 1]. yxyx: float32 [m, 4], normalised.
    labels: [m] 1..K. crowds, clipped: bool [m]. areas: float32 [m], px² of the object.
    """

    starts: np.ndarray
    yxyx: np.ndarray
    labels: np.ndarray
    crowds: np.ndarray
    clipped: np.ndarray
    areas: np.ndarray

    def digest(self) -> str:
        """Return a hash of all that goes into records."""
        parts = (self.starts, self.yxyx, self.labels, self.crowds, self.areas)
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def check_boxes(file: AnnotationFile, order: np.ndarray, labels: Mapping[int, int]) -> tuple[Boxes, list[Fault]]:
    """Return the usable boxes, and what is wrong with the others; each has one fault, the first that applies.

    Args:
        order: numbers of the images, in the order that is wanted.
        labels: category id → label.
    """
    ids, image_ids = np.asarray(file.ids, np.int64), np.asarray(file.image_ids, np.int64)[order]
    of_images, of_categories = np.asarray(file.of_images, np.int64), np.asarray(file.of_categories, np.int64)
    known = np.sort(image_ids)
    image = np.searchsorted(known, of_images).clip(max=len(known) - 1)
    found = known[image] == of_images
    image = np.argsort(image_ids, kind="stable")[image]  # place in `order`
    categories = np.asarray(sorted(labels), np.int64)
    category = np.searchsorted(categories, of_categories).clip(max=len(categories) - 1)
    xywh = np.asarray(file.boxes, np.float64).reshape(-1, 4)
    width = np.asarray(file.widths, np.float64)[order][image]
    height = np.asarray(file.heights, np.float64)[order][image]
    sides = np.stack([xywh[:, 1], xywh[:, 0], xywh[:, 1] + xywh[:, 3], xywh[:, 0] + xywh[:, 2]], 1)
    inside = np.clip(sides, 0, np.stack([height, width, height, width], 1))
    yxyx = (inside / np.stack([height, width, height, width], 1)).astype(np.float32)
    reasons: tuple[tuple[str, Any], ...] = (  # Any: mypy takes comparisons for single flags
        (DUPLICATE, _repeated(ids)),
        (UNKNOWN_IMAGE, ~found),
        (UNKNOWN_CATEGORY, categories[category] != of_categories),
        (NO_BOX_AREA, (xywh[:, 2:] <= 0).any(1)),
        (OUTSIDE, (inside[:, 2:] <= inside[:, :2]).any(1)),
        (NO_BOX_AREA, (yxyx[:, 2:] <= yxyx[:, :2]).any(1)),  # too thin for a record's numbers
    )
    good = np.ones(len(ids), bool)
    faults: dict[int, str] = {}
    for reason, wrong in reasons:
        faults.update(dict.fromkeys(np.flatnonzero(wrong & good).tolist(), reason))
        good &= ~wrong
    rows = np.flatnonzero(good)
    rows = rows[np.argsort(image[rows], kind="stable")]
    areas, own = np.asarray(file.areas, np.float64)[rows], np.prod(inside[:, 2:] - inside[:, :2], 1)[rows]
    label_of = np.asarray([labels[one] for one in sorted(labels)], np.int32)
    boxes = Boxes(
        starts=np.searchsorted(image[rows], np.arange(len(order) + 1)),
        yxyx=yxyx[rows],
        labels=label_of[category[rows]],
        crowds=np.asarray(file.crowds, bool)[rows],
        clipped=np.any(np.abs(sides - inside)[rows] > TOLERANCE, axis=1),
        areas=np.where(np.isnan(areas), own, areas).astype(np.float32),
    )
    listed = [Fault(faults[row], file.of_images[row], file.ids[row]) for row in sorted(faults)]
    return boxes, [*file.faults, *listed]


def _repeated(ids: np.ndarray) -> np.ndarray:
    """Return which of the ids occurred before: bool [n]."""
    _, first = np.unique(ids, return_index=True)
    repeated = np.ones(len(ids), bool)
    repeated[first] = False
    return repeated
