"""What looks wrong in the annotations of a split, and can be seen only in their file."""

from __future__ import annotations

import numpy as np

from data_prep.detection.annotations import AnnotationFile, is_repeated
from data_prep.detection.boxes import find_index
from mnasnet_cli.records.findings import Findings

OVERSHOOT = 1.0  # px; programs that round boxes overshoot by less
MOST = 0.5  # of the boxes


def suspect_annotations(file: AnnotationFile, split: str, findings: Findings) -> None:
    """Say what looks wrong in an annotation file whose image sizes are known."""
    xywh = file.xywh
    if not len(xywh):
        return
    _suspect_fractions(file, xywh, split, findings)
    _suspect_corners(file, xywh, split, findings)
    _suspect_repeated_boxes(file, split, findings)
    if all(file.crowds):
        findings.suspect(
            "only-crowds", "annotations have iscrowd 1, and no other ones are there: training leaves crowds out",
            split=split, count=len(xywh), example=_example(file, 0),
            advice="--crowd-as-objects takes them for single objects (the masks of CVAT are written so)",
        )  # fmt: skip


def _example(file: AnnotationFile, row: int) -> str:
    x, y, width, height = file.boxes[4 * row : 4 * row + 4]
    return f"[{x:g}, {y:g}, {width:g}, {height:g}] ({file.fault('', row)})"


def _suspect_fractions(file: AnnotationFile, xywh: np.ndarray, split: str, findings: Findings) -> None:
    if (xywh <= 1).all():
        findings.suspect(
            "boxes-of-one-px", "boxes are at most 1 px wide and high, and lie in the first pixel: all of them",
            split=split, count=len(xywh), example=_example(file, 0),
            advice="if they are fractions of the image, multiply them by its width and height",
        )  # fmt: skip


def _suspect_corners(file: AnnotationFile, xywh: np.ndarray, split: str, findings: Findings) -> None:
    """Say it if most boxes reach beyond their images, as they do if they are two corners."""
    image, known = find_index(np.asarray(file.image_ids, np.int64), file.annotation_images)
    image_width, image_height = (np.asarray(column, np.float64)[image] for column in (file.widths, file.heights))
    known &= (image_width > 0) & (image_height > 0)
    x, y, width, height = xywh.T
    over = known & ((x + width > image_width + OVERSHOOT) | (y + height > image_height + OVERSHOOT))
    count, total = int(over.sum()), int(known.sum())
    if count <= MOST * total:
        return
    corners = known & (width > x) & (height > y) & (width <= image_width + 1) & (height <= image_height + 1)
    looks_like_corners = int(corners.sum()) > MOST * total
    findings.suspect(
        "boxes-overshoot", f"of {total:,} boxes reach beyond their images", split=split, count=count,
        example=_example(file, int(over.argmax())),
        advice="they look like two corners (x1, y1, x2, y2), but bbox holds x, y, width, height" if looks_like_corners
        else "check what bbox holds: it should be x, y, width, height in px",
    )  # fmt: skip


def _suspect_repeated_boxes(file: AnnotationFile, split: str, findings: Findings) -> None:
    again = is_repeated(file.places())
    findings.suspect(
        "repeated-box", "boxes have the class and place of another one of the same image", split=split,
        count=int(again.sum()), example=_example(file, int(again.argmax())), advice="remove one of each two",
    )  # fmt: skip
