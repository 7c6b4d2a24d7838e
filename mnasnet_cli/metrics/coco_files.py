"""COCO's two file formats, read and checked once: ground truth (`instances_*.json`) and detections (results format).

Boxes are [x, y, width, height] in pixels of the original image, here and in the modules beside that score them.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mnasnet_cli.errors import DataError

ORDER = "the order is `mnasnet report DETECTIONS.json ANNOTATIONS.json`"
RESULTS_FORMAT = 'a list of {"image_id": …, "category_id": …, "bbox": [x, y, width, height], "score": …}'


@dataclass(frozen=True)
class GroundTruth:
    """The annotations of one split: G boxes, in the file's order.

    images: image id → its entry in the file (file_name, width, height, …). categories: category id → name.
    image_ids, category_ids: int64 [G]. boxes_xywh: float64 [G, 4], px. areas: float64 [G], px², of the segmentation
    where there is one. crowd: bool [G]. notes: what in the file was mended or left out, one line each.
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
        """Return it with the boxes of the mask `keep`, bool [G], and all images and categories."""
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
    """N detections: image_ids, category_ids int64 [N], boxes_xywh float64 [N, 4] in px, scores float64 [N]."""

    source: str
    image_ids: np.ndarray
    category_ids: np.ndarray
    boxes_xywh: np.ndarray
    scores: np.ndarray


@contextmanager
def paused_garbage_collection() -> Iterator[None]:
    """Keep the cycle collector still while hundreds of thousands of dicts are made: it would walk over all of them
    again and again, for nothing, and take half of the time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def read_ground_truth(path: Path) -> GroundTruth:
    """Read a COCO annotation file; raises DataError where it isn't one."""
    with paused_garbage_collection():
        return ground_truth(_read_json(path), str(path))


def ground_truth(content: Any, source: str) -> GroundTruth:
    """Check the content of a COCO annotation file, and return it as columns.

    What pycocotools overlooks is left out with a note: annotations of unknown images or categories. Missing areas
    are width × height, a missing iscrowd is 0. Raises DataError for anything else that isn't as COCO has it.
    """
    if isinstance(content, list) and content and isinstance(content[0], dict) and "score" in content[0]:
        raise DataError(f"{source} holds detections where ground truth is expected; {ORDER}")
    if not isinstance(content, dict):
        raise DataError(f"{source} is no COCO annotation file: expected an object with images, annotations, categories")
    for key in ("images", "annotations", "categories"):
        if not isinstance(content.get(key), list) or not all(isinstance(row, dict) for row in content[key]):
            found = ", ".join(sorted(map(str, content))[:6]) or "nothing"
            raise DataError(f"{source} is no COCO annotation file: it has no list '{key}' (it has: {found})")
    images = _by_id(content["images"], source, "image")
    categories = _by_id(content["categories"], source, "category")
    rows = content["annotations"]
    columns = _columns(rows, ("image_id", "category_id", "bbox"), source, "annotation")
    crowd = np.array([bool(row.get("iscrowd", 0)) for row in rows], bool)
    areas = columns["bbox"][:, 2] * columns["bbox"][:, 3]
    given = np.array([row.get("area") is not None for row in rows], bool)
    try:
        areas[given] = [float(row["area"]) for row in rows if row.get("area") is not None]
    except (TypeError, ValueError) as error:
        raise DataError(f"{source}: an annotation's area is no number: {error}") from None
    names = {key: str(row.get("name", key)) for key, row in categories.items()}
    truth = GroundTruth(
        source, images, names, columns["image_id"], columns["category_id"], columns["bbox"], areas, crowd
    )
    return _with_notes(truth, content, areas_given=given)


def _with_notes(truth: GroundTruth, content: Mapping[str, Any], *, areas_given: np.ndarray) -> GroundTruth:
    """Leave out what cannot be scored, and say what was found odd."""
    notes: list[str] = []
    source = truth.source
    if len(truth.images) < len(content["images"]):
        notes.append(f"{source}: {len(content['images']) - len(truth.images)} image ids are listed more than once")
    if not areas_given.all():
        notes.append(f"{source}: {(~areas_given).sum()} annotations have no area; width × height stands in for it")
    identities = [row.get("id") for row in content["annotations"]]
    odd = sum(not identity for identity in identities) + len(identities) - len(set(map(str, identities)))
    if odd:
        # pycocotools takes a match with annotation 0 for no match, and of two with the same id it counts one twice.
        notes.append(f"{source}: {odd} annotation ids are missing, 0 or double; all are numbered anew")
    known = np.isin(truth.image_ids, list(truth.images))
    named = np.isin(truth.category_ids, list(truth.categories))
    for mask, what in ((known, "images"), (named, "categories")):
        if not mask.all():
            notes.append(f"{source}: {(~mask).sum()} annotations of {what} that the file doesn't list are left out")
    return replace(truth.select(known & named), notes=tuple(notes))


def read_detections(path: Path) -> Detections:
    """Read a file in COCO's results format; raises DataError where it isn't one."""
    with paused_garbage_collection():
        return detections(_read_json(path), str(path))


def detections(content: Any, source: str) -> Detections:
    """Check the content of a results file, and return it as columns; raises DataError."""
    if isinstance(content, dict) and "annotations" in content:
        raise DataError(f"{source} holds ground truth where detections are expected; {ORDER}")
    if not isinstance(content, list):
        raise DataError(f"{source} is no COCO results file: expected {RESULTS_FORMAT}")
    columns = _columns(content, ("image_id", "category_id", "bbox", "score"), source, "detection")
    return Detections(source, columns["image_id"], columns["category_id"], columns["bbox"], columns["score"])


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder; a JSON file is expected") from None
    except json.JSONDecodeError as error:
        raise DataError(f"{path} is no JSON: {error.msg} in line {error.lineno}, column {error.colno}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is no JSON: it holds bytes that are no text") from None
    except RecursionError:
        raise DataError(f"{path} is no COCO file: it is nested too deep") from None


def _by_id(rows: Sequence[Mapping[str, Any]], source: str, what: str) -> dict[int, Mapping[str, Any]]:
    found = {}
    for number, row in enumerate(rows):
        identity = row.get("id")
        if not isinstance(identity, int) or isinstance(identity, bool):
            raise DataError(f"{source}: {what} {number} has the id {identity!r}; a whole number is expected")
        found[identity] = row
    return found


def _columns(rows: Sequence[Any], keys: Sequence[str], source: str, what: str) -> dict[str, np.ndarray]:
    """Return the values of each key over the rows; raises DataError naming the first row that is at fault."""
    try:
        return {key: _column([row[key] for row in rows], key) for key in keys}
    except (TypeError, ValueError, KeyError, IndexError, OverflowError, AttributeError):
        pass
    for number, row in enumerate(rows):  # slow, and only where something is wrong: find out what
        place = f"{source}: {what} {number}"
        if not isinstance(row, dict):
            raise DataError(f"{place} is {str(row)[:40]!r}; an object with {', '.join(keys)} is expected")
        for key in keys:
            if key not in row:
                raise DataError(
                    f"{place} has no '{key}' (it has: {', '.join(map(str, row))}); only boxes can be scored"
                )
            try:
                _column([row[key]], key)
            except (TypeError, ValueError, OverflowError, AttributeError):
                wanted = {"bbox": "[x, y, width, height]", "score": "a number"}.get(key, "a whole number")
                raise DataError(f"{place} has the {key} {repr(row[key])[:60]}; {wanted} is expected") from None
    raise DataError(f"{source}: its {what}s are of mixed types")


def _column(values: list[Any], key: str) -> np.ndarray:
    """Return one column; raises TypeError or ValueError where a value isn't what the key stands for."""
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
