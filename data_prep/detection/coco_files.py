"""Tells COCO annotation files from other JSON files by a look at their content."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any

from data_prep.detection.json_stream import START, NotJsonError, members

MAX_SAMPLE = 200  # file names in a look

BOXES, KEYPOINTS = "boxes", "keypoints"


class OtherJsonError(ValueError):
    """The file is no annotation file with boxes. The message says what it is, after its name."""


@dataclass
class Look:
    """What the first part of an annotation file says.

    task: BOXES or KEYPOINTS, which have boxes, too. file_names: of some images, evenly chosen.
    """

    task: str = BOXES
    file_names: list[str] = field(default_factory=list)


def look_into(open_file: Callable[[], IO[bytes]]) -> Look:
    """Read a JSON file up to its first annotation. Raises OtherJsonError if it is no COCO annotation file with boxes.

    Raises OSError and zipfile.BadZipFile, too.
    """
    look, sample = Look(), _Sample()
    seen: set[str] = set()
    has_annotation = False
    try:
        with open_file() as file:
            for key, number, value in members(file):
                if number == START:
                    seen.add(key)
                    if has_annotation and sample.names and key != "annotations":
                        break  # the images are before the annotations in all usual files, and the rest is large
                elif key == "images":
                    sample.add(value)
                    if has_annotation and len(sample.names) >= MAX_SAMPLE // 2:
                        break
                elif key == "annotations" and not has_annotation:
                    has_annotation = True
                    look.task = _task(value)
                    if sample.names:
                        break
    except NotJsonError as error:
        raise OtherJsonError(f"is {error}") from None
    for key in ("images", "annotations"):
        if key not in seen:
            raise OtherJsonError(f"has no '{key}'")
    look.file_names = sample.names
    return look


def _task(annotation: Any) -> str:
    """Return what an annotation is for. Raises OtherJsonError if that is not boxes."""
    keys = set(annotation) if isinstance(annotation, dict) else set()
    if "segments_info" in keys:
        raise OtherJsonError("holds panoptic segmentations, not boxes")
    if "bbox" not in keys and "segmentation" not in keys:
        for key, what in (("caption", "captions"), ("question", "questions"), ("keypoints", "keypoints")):
            if key in keys:
                raise OtherJsonError(f"holds {what}, not boxes")
        if "image_id" not in keys or "category_id" not in keys:
            raise OtherJsonError("has annotations without 'bbox'")
    return KEYPOINTS if "keypoints" in keys else BOXES


class _Sample:
    """Some of the file names, evenly chosen, however many there are."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._step, self._count = 1, 0

    def add(self, image: Any) -> None:
        """Count an image, and keep its name if it is one of the chosen."""
        name = image.get("file_name") if isinstance(image, dict) else None
        if isinstance(name, str) and self._count % self._step == 0:
            self.names.append(name)
            if len(self.names) == MAX_SAMPLE:
                del self.names[1::2]
                self._step *= 2
        self._count += 1
