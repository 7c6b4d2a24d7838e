"""Checks every box of an annotation file against its image."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from data_prep.detection.annotations import (
    BOX_OUTSIDE,
    NO_BOX_AREA,
    SHARED_IMAGE,
    UNKNOWN_CATEGORY,
    UNKNOWN_IMAGE,
    AnnotationFile,
    Fault,
)

CLIP_TOLERANCE = 1e-3  # px; COCO rounds to 0.01 px, and sums of such numbers differ by less than this


@dataclass(frozen=True)
class Boxes:
    """The boxes of the images of one split, image by image.

    starts: [images + 1]; image i has the boxes starts[i]:starts[i + 1]. yxyx: float32 [m, 4], normalized to 0..1.
    labels: [m] 1..K. crowds, clipped: bool [m]. areas: float32 [m], px² of the object.
    """

    starts: np.ndarray
    yxyx: np.ndarray
    labels: np.ndarray
    crowds: np.ndarray
    clipped: np.ndarray
    areas: np.ndarray

    def select(self, images: np.ndarray) -> Boxes:
        """Return the boxes of some images, in the order of the numbers `images`."""
        counts = np.diff(self.starts)[images]
        ends = np.cumsum(counts)
        rows = np.arange(counts.sum()) + np.repeat(self.starts[images] - (ends - counts), counts)
        columns = (self.yxyx, self.labels, self.crowds, self.clipped, self.areas)
        return Boxes(np.append(0, ends), *(column[rows] for column in columns))

    def digest(self) -> str:
        """Return a SHA-256 of what goes into the records."""
        columns = (self.starts, self.yxyx, self.labels, self.crowds, self.areas)
        return hashlib.sha256(b"".join(column.tobytes() for column in columns)).hexdigest()


def check_boxes(file: AnnotationFile, order: np.ndarray, labels: Mapping[int, int]) -> tuple[Boxes, list[Fault]]:
    """Return the usable boxes, and one fault for each other annotation: the first that applies.

    Args:
        file: the annotations.
        order: [images], the numbers of the images in the wanted order.
        labels: category id → label.
    """
    image, image_is_known = find_index(np.asarray(file.image_ids, np.int64)[order], file.annotation_images)
    category_ids = np.asarray(sorted(labels), np.int64)
    category, category_is_known = find_index(category_ids, file.annotation_categories)

    xywh = np.asarray(file.boxes, np.float64).reshape(-1, 4)
    x, y, box_width, box_height = xywh.T
    width = np.asarray(file.widths, np.float64)[order][image]
    height = np.asarray(file.heights, np.float64)[order][image]
    image_sides = np.stack([height, width, height, width], 1)
    yxyx_px = np.stack([y, x, y + box_height, x + box_width], 1)
    clipped_px = np.clip(yxyx_px, 0, image_sides)
    yxyx = (clipped_px / image_sides).astype(np.float32)

    reasons: tuple[tuple[str, Any], ...] = (  # Any: mypy takes comparisons for single booleans
        (SHARED_IMAGE, np.isin(file.annotation_images, sorted(file.shared_ids))),
        (UNKNOWN_IMAGE, ~image_is_known),
        (UNKNOWN_CATEGORY, ~category_is_known),
        (NO_BOX_AREA, (box_width <= 0) | (box_height <= 0)),
        (BOX_OUTSIDE, (clipped_px[:, 2:] <= clipped_px[:, :2]).any(1)),
        (NO_BOX_AREA, (yxyx[:, 2:] <= yxyx[:, :2]).any(1)),  # too thin for float32
    )
    usable = np.ones(len(image), bool)
    faults: dict[int, str] = {}
    for reason, wrong in reasons:
        faults.update(dict.fromkeys(np.flatnonzero(wrong & usable).tolist(), reason))
        usable &= ~wrong

    rows = np.flatnonzero(usable)
    rows = rows[np.argsort(image[rows], kind="stable")]
    areas, box_areas = np.asarray(file.areas, np.float64)[rows], np.prod(clipped_px[:, 2:] - clipped_px[:, :2], 1)[rows]
    category_labels = np.asarray([labels[category_id] for category_id in sorted(labels)], np.int32)
    boxes = Boxes(
        starts=np.searchsorted(image[rows], np.arange(len(order) + 1)),
        yxyx=yxyx[rows],
        labels=category_labels[category[rows]],
        crowds=np.asarray(file.crowds, bool)[rows],
        clipped=np.any(np.abs(yxyx_px - clipped_px)[rows] > CLIP_TOLERANCE, axis=1),
        areas=np.where(np.isnan(areas), box_areas, areas).astype(np.float32),
    )
    found = [file.fault(faults[row], row) for row in sorted(faults)]
    return boxes, [*file.faults, *found]


def find_index(values: np.ndarray, wanted: array[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the index in `values` of each wanted value, and whether it is there: int64 [n] and bool [n].

    The values are distinct and at least one. The index of a value that is not there is arbitrary.
    """
    sorter = np.argsort(values, kind="stable")
    position = np.searchsorted(values, wanted, sorter=sorter).clip(max=len(values) - 1)
    index = sorter[position]
    return index, values[index] == np.asarray(wanted, np.int64)
