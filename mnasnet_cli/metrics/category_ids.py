"""Detects results files whose category ids differ from those of the annotations, e.g. shifted by one.

Such detections score near 0, and the score alone does not explain why. The check compares the category ids of detected
and annotated boxes that overlap.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mnasnet_cli.errors import DataError
from mnasnet_cli.metrics.coco_files import Detections, GroundTruth, iou_xywh

SAMPLE_IMAGES = 200
SAMPLE_BOXES = 20  # detections per image, those with the highest scores
MIN_PAIRS = 2  # fewer overlaps that only other ids explain count as chance
MIN_SHARE, MIN_GAIN = 0.5, 0.2  # other ids must explain this share of the pairs, and this much more than the given ids


def check_category_ids(truth: GroundTruth, detections: Detections) -> str | None:
    """Return a warning if the category ids of the detections seem to be other ids than those of the annotations.

    Raises:
      DataError: some category ids are unknown, and no systematic difference explains them.
    """
    if not len(detections.category_ids):
        return None
    used = np.unique(detections.category_ids)
    known = np.array(sorted(truth.categories), np.int64)
    unknown = used[~np.isin(used, known)]
    best = _best_mapping(known, _overlapping_categories(truth, detections))
    if best is None and len(unknown):
        best = next((name for name, to_id in _id_mappings(known).items() if all(int(u) in to_id for u in used)), None)
    if best is not None:
        return (
            f"the category ids of the detections are {_describe_range(used)}, and those of the annotations are "
            f"{_describe_range(known)}: the detections look {best}"
        )
    if len(unknown):
        rows = int(np.isin(detections.category_ids, unknown).sum())
        listed = ", ".join(map(str, unknown[:5])) + (", …" if len(unknown) > 5 else "")
        raise DataError(
            f"{detections.source}: {rows} of {len(detections.category_ids)} detections have a category_id that "
            f"{truth.source} does not list: {listed}"
        )
    return None


def _describe_range(ids: np.ndarray) -> str:
    if len(ids) == 1:
        return str(ids[0])
    gaps = ", with gaps" if ids[-1] - ids[0] + 1 != len(ids) else ""
    return f"{ids[0]} to {ids[-1]} ({len(ids)} ids{gaps})"


def _id_mappings(known: np.ndarray) -> dict[str, dict[int, int]]:
    """Return the usual mistakes: description → {wrong id: category id}."""
    ids = [int(category) for category in known]
    mappings = {
        "shifted up by one": {category + 1: category for category in ids},
        "shifted down by one": {category - 1: category for category in ids},
        "numbered from 1 without gaps": dict(enumerate(ids, 1)),
        "numbered from 0 without gaps": dict(enumerate(ids)),
    }
    # If the ids have no gaps, the last two are correct or equal to a shift.
    has_gaps = len(known) and known[-1] - known[0] + 1 != len(known)
    return mappings if has_gaps else dict(list(mappings.items())[:2])


def _best_mapping(known: np.ndarray, pairs: np.ndarray) -> str | None:
    """Return the mistake that explains the pairs [P, 2] of (detected, annotated) category ids, None if none does."""
    if not len(pairs):
        return None
    correct = pairs[:, 0] == pairs[:, 1]
    best, best_share = None, 0.0
    for name, to_id in _id_mappings(known).items():
        agrees = _apply(pairs[:, 0], to_id) == pairs[:, 1]
        share = agrees.mean()
        gained = int((agrees & ~correct).sum())
        if share >= MIN_SHARE and share > correct.mean() + MIN_GAIN and gained >= MIN_PAIRS and share > best_share:
            best, best_share = name, share
    return best


def _apply(ids: np.ndarray, to_id: Mapping[int, int]) -> np.ndarray:
    return np.array([to_id.get(category, -1) for category in ids.tolist()], np.int64)


def _overlapping_categories(truth: GroundTruth, detections: Detections) -> np.ndarray:
    """Return pairs of category ids, int64 [P, 2]: of the best detection at IoU 0.5 on an annotation, and its own."""
    both = np.intersect1d(truth.image_ids[~truth.crowd], detections.image_ids)
    if len(both) > SAMPLE_IMAGES:
        both = both[np.linspace(0, len(both) - 1, SAMPLE_IMAGES).astype(int)]
    pairs: list[np.ndarray] = []
    true_rows, found_rows = _rows_by_image(truth.image_ids, both), _rows_by_image(detections.image_ids, both)
    for image in both.tolist():
        annotated, found = true_rows[image], found_rows[image]
        annotated = annotated[~truth.crowd[annotated]]
        found = found[np.argsort(-detections.scores[found], kind="stable")[:SAMPLE_BOXES]]
        overlaps = iou_xywh(truth.boxes_xywh[annotated], detections.boxes_xywh[found])
        overlaps = np.where(overlaps >= 0.5, 1.0, 0.0)  # argmax then finds the one with the highest score
        chosen = overlaps.argmax(axis=1)
        hit = overlaps[np.arange(len(annotated)), chosen] > 0
        categories = (detections.category_ids[found[chosen]], truth.category_ids[annotated])
        pairs.append(np.stack(categories, axis=1)[hit])
    return np.concatenate(pairs) if pairs else np.zeros((0, 2), np.int64)


def _rows_by_image(image_ids: np.ndarray, selected: np.ndarray) -> dict[int, np.ndarray]:
    """Return image id → indices of its rows, in their order."""
    if not len(selected):
        return {}  # np.split gives one part at least
    rows = np.flatnonzero(np.isin(image_ids, selected))
    rows = rows[np.argsort(image_ids[rows], kind="stable")]
    starts = np.searchsorted(image_ids[rows], selected)
    return dict(zip(selected.tolist(), np.split(rows, starts[1:]), strict=True))
