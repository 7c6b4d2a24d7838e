"""Reads and validates COCO files: ground truth (`instances_*.json`) and detections (the results format).

Boxes in `metrics` are [x, y, width, height] in px of the original image.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mnasnet_cli.errors import DataError
from mnasnet_cli.system.documents import parse_json, read_bytes, shorten

MAX_NAME = 1000
"""Letters of a category: a longer one is no name, and drawing 100,000 letters takes a minute."""
MAX_ID = (1 << 63) - 1
MAX_COCO_BYTES = 1 << 31
"""COCO's largest file has 450 MB; as objects of Python it takes ten times as much memory."""
ORDER = "the order of the arguments is DETECTIONS.json ANNOTATIONS.json"
RESULTS_FORMAT = 'a list of {"image_id": …, "category_id": …, "bbox": [x, y, width, height], "score": …}'


@dataclass(frozen=True)
class GroundTruth:
    """The annotations of one split: G boxes, in the order of the file.

    Attributes:
      source: the file, for messages.
      images: image id → its entry in the file (file_name, width, height, …).
      categories: category id → name.
      image_ids, category_ids: int64 [G].
      boxes_xywh: float64 [G, 4], px.
      areas: float64 [G], px², of the segmentation if there is one.
      crowd: bool [G].
      notes: what was corrected or left out, one line each.
    """

    source: str
    images: Mapping[int, Mapping[str, Any]]
    categories: Mapping[int, str]
    image_ids: np.ndarray
    category_ids: np.ndarray
    boxes_xywh: np.ndarray
    areas: np.ndarray
    crowd: np.ndarray
    notes: tuple[str, ...] = ()

    def select(self, keep: np.ndarray) -> GroundTruth:
        """Return a copy with the boxes of the mask `keep`, bool [G], and all images and categories."""
        return replace(
            self,
            image_ids=self.image_ids[keep],
            category_ids=self.category_ids[keep],
            boxes_xywh=self.boxes_xywh[keep],
            areas=self.areas[keep],
            crowd=self.crowd[keep],
        )


@dataclass(frozen=True)
class Detections:
    """N detections.

    Attributes:
      source: the file, for messages.
      image_ids, category_ids: int64 [N].
      boxes_xywh: float64 [N, 4], px.
      scores: float64 [N].
    """

    source: str
    image_ids: np.ndarray
    category_ids: np.ndarray
    boxes_xywh: np.ndarray
    scores: np.ndarray


@contextmanager
def paused_garbage_collection() -> Iterator[None]:
    """Pause the garbage collector. While hundreds of thousands of dicts are created, it takes half of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def read_ground_truth(path: Path) -> GroundTruth:
    """Read a COCO annotation file; raises DataError if it is not one."""
    with paused_garbage_collection():
        return parse_ground_truth(_read_json(path), str(path))


def parse_ground_truth(content: Any, source: str) -> GroundTruth:
    """Validate the content of a COCO annotation file and return it as columns.

    A missing area becomes width × height, and a missing iscrowd 0. Annotations of unknown images or categories, which
    pycocotools ignores, are left out with a note.

    Raises:
      DataError: any other deviation from COCO's format.
    """
    if isinstance(content, list) and content and isinstance(content[0], dict) and "score" in content[0]:
        raise DataError(f"{source} holds detections, expected ground truth; {ORDER}")
    if not isinstance(content, dict):
        raise DataError(
            f"{source} is not a COCO annotation file: expected an object with images, annotations, categories"
        )
    for key in ("images", "annotations", "categories"):
        if not isinstance(content.get(key), list) or not all(isinstance(row, dict) for row in content[key]):
            found = ", ".join(sorted(map(str, content))[:6]) or "nothing"
            raise DataError(f"{source} is not a COCO annotation file: it has no list '{key}' (it has: {found})")
    images = _by_id(content["images"], source, "image")
    categories = _by_id(content["categories"], source, "category")
    rows = content["annotations"]
    columns = _columns(rows, ("image_id", "category_id", "bbox"), source, "annotation")
    crowd = np.array([bool(row.get("iscrowd", 0)) for row in rows], bool)
    areas = columns["bbox"][:, 2] * columns["bbox"][:, 3]
    given = np.array([row.get("area") is not None for row in rows], bool)
    try:
        areas[given] = [float(row["area"]) for row in rows if row.get("area") is not None]
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"{source}: the area of an annotation is not a number") from None
    if not np.isfinite(areas).all():
        raise DataError(f"{source}: the area of an annotation is not a finite number")
    names = {key: _name(row.get("name", key)) for key, row in categories.items()}
    truth = GroundTruth(
        source, images, names, columns["image_id"], columns["category_id"], columns["bbox"], areas, crowd
    )
    return _with_notes(truth, content, areas_given=given)


def _with_notes(truth: GroundTruth, content: Mapping[str, Any], *, areas_given: np.ndarray) -> GroundTruth:
    """Leave out what cannot be scored, and note what was unusual."""
    notes: list[str] = []
    source = truth.source
    if len(truth.images) < len(content["images"]):
        notes.append(f"{source}: {len(content['images']) - len(truth.images)} image ids are listed more than once")
    if not areas_given.all():
        notes.append(f"{source}: {(~areas_given).sum()} annotations have no area; width × height is used")
    identities = [row.get("id") for row in content["annotations"]]
    invalid = sum(not identity for identity in identities) + len(identities) - len(set(map(str, identities)))
    if invalid:
        # pycocotools treats a match with id 0 as no match, and counts one of two annotations with the same id twice.
        notes.append(f"{source}: {invalid} annotation ids are missing, 0 or repeated; all ids are replaced")
    known = np.isin(truth.image_ids, list(truth.images))
    named = np.isin(truth.category_ids, list(truth.categories))
    for mask, what in ((known, "images"), (named, "categories")):
        if not mask.all():
            notes.append(f"{source}: {(~mask).sum()} annotations of {what} that the file does not list are left out")
    return replace(truth.select(known & named), notes=tuple(notes))


def read_detections(path: Path) -> Detections:
    """Read a file in COCO's results format; raises DataError if it is not one."""
    with paused_garbage_collection():
        return parse_detections(_read_json(path), str(path))


def parse_detections(content: Any, source: str) -> Detections:
    """Validate the content of a results file and return it as columns; raises DataError."""
    if isinstance(content, dict) and "annotations" in content:
        raise DataError(f"{source} holds ground truth, expected detections; {ORDER}")
    if not isinstance(content, list):
        raise DataError(f"{source} is not a COCO results file: expected {RESULTS_FORMAT}")
    columns = _columns(content, ("image_id", "category_id", "bbox", "score"), source, "detection")
    return Detections(source, columns["image_id"], columns["category_id"], columns["bbox"], columns["score"])


def _read_json(path: Path) -> Any:
    return parse_json(read_bytes(path, MAX_COCO_BYTES), path, foreign=True)


def _by_id(rows: Sequence[Mapping[str, Any]], source: str, what: str) -> dict[int, Mapping[str, Any]]:
    found = {}
    for number, row in enumerate(rows):
        identity = row.get("id")
        if type(identity) is not int or abs(identity) > MAX_ID:
            raise DataError(f"{source}: {what} {number} has the id {shorten(identity)}, expected an integer")
        found[identity] = row
    return found


def _name(value: Any) -> str:
    return value[:MAX_NAME] if isinstance(value, str) else shorten(value)


def _columns(rows: Sequence[Any], keys: Sequence[str], source: str, what: str) -> dict[str, np.ndarray]:
    """Return the values of each key over the rows; raises DataError that names the first faulty row."""
    try:
        return {key: _column([row[key] for row in rows], key) for key in keys}
    except (TypeError, ValueError, KeyError, IndexError, OverflowError, AttributeError):
        pass
    for number, row in enumerate(rows):  # slow, so only done to find the fault
        place = f"{source}: {what} {number}"
        if not isinstance(row, dict):
            raise DataError(f"{place} is {str(row)[:40]!r}, expected an object with {', '.join(keys)}")
        for key in keys:
            if key not in row:
                raise DataError(
                    f"{place} has no '{key}' (it has: {', '.join(map(str, row))}); only boxes can be evaluated"
                )
            try:
                _column([row[key]], key)
            except (TypeError, ValueError, OverflowError, AttributeError):
                expected = {"bbox": "[x, y, width, height]", "score": "a number"}.get(key, "an integer")
                raise DataError(f"{place} has the {key} {shorten(row[key])}, expected {expected}") from None
    raise DataError(f"{source}: the {what}s mix types of values")


def _column(values: list[Any], key: str) -> np.ndarray:
    """Return one column; raises TypeError or ValueError for a value of the wrong type."""
    shape = (len(values), 4) if key == "bbox" else (len(values),)
    column = np.array(values) if values else np.zeros(shape)
    if column.shape != shape or column.dtype.kind not in "iuf" or not np.isfinite(column).all():
        raise ValueError(key)
    if key in ("bbox", "score"):
        return column.astype(np.float64)
    whole = column.astype(np.int64)
    if (whole != column).any():
        raise ValueError(key)
    return whole


def iou_xywh(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the intersection over union [A, B] of boxes [A, 4] and [B, 4]; 0 for a box without area."""
    corners = [np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1) for boxes in (first, second)]
    a, b = corners[0][:, None], corners[1][None]
    sides = np.maximum(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0)
    shared = sides.prod(axis=-1)
    union = first[:, 2:].prod(axis=1)[:, None] + second[:, 2:].prod(axis=1)[None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
