"""Finds detections whose class numbers are not the annotations' category ids: shifted by one, or counted through.

Such detections score near 0, and the number alone doesn't say why. The boxes do: where they lie on annotations, the two
sides' classes can be held against each other.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mnasnet_cli.errors import DataError
from mnasnet_cli.metrics.coco_files import Detections, GroundTruth

SAMPLE_IMAGES = 200
SAMPLE_BOXES = 20  # detections of an image that are looked at, those with the highest scores
MIN_PAIRS = 2  # fewer overlaps that only another numbering explains are taken for chance
MIN_SHARE, MIN_GAIN = 0.5, 0.2  # that numbering must explain so much, and so much more than the one at hand


def check_class_numbers(truth: GroundTruth, detections: Detections) -> str | None:
    """Return a warning where the detections seem to number their classes in another way than the annotations.

    Raises DataError where detections have categories that the annotations don't know, and no other numbering
    explains them.
    """
    if not len(detections.category_ids):
        return None
    used = np.unique(detections.category_ids)
    known = np.array(sorted(truth.categories), np.int64)
    unknown = used[~np.isin(used, known)]
    pairs = _overlapping_classes(truth, detections)
    best = _best_numbering(known, pairs)
    if best is None and len(unknown):
        best = next((name for name, to_id in _numberings(known).items() if all(int(u) in to_id for u in used)), None)
    if best is not None:
        return (
            f"the detections' category_id is {_span(used)}, but the annotations' category ids are {_span(known)}: the "
            f"detections look {best}"
        )
    if len(unknown):
        rows = int(np.isin(detections.category_ids, unknown).sum())
        listed = ", ".join(map(str, unknown[:5])) + (", …" if len(unknown) > 5 else "")
        raise DataError(
            f"{detections.source}: {rows} of {len(detections.category_ids)} detections have a category_id that "
            f"{truth.source} doesn't know: {listed}"
        )
    return None


def _span(numbers: np.ndarray) -> str:
    if len(numbers) == 1:
        return str(numbers[0])
    gaps = ", with gaps" if numbers[-1] - numbers[0] + 1 != len(numbers) else ""
    return f"{numbers[0]} to {numbers[-1]} ({len(numbers)} of them{gaps})"


def _numberings(known: np.ndarray) -> dict[str, dict[int, int]]:
    """Return for each wrong numbering: what it looks like → {class number in it: the category id that was meant}."""
    identities = [int(identity) for identity in known]
    found = {
        "shifted up by one": {identity + 1: identity for identity in identities},
        "shifted down by one": {identity - 1: identity for identity in identities},
        "counted through from 1 (contiguous, where the ids have gaps)": dict(enumerate(identities, 1)),
        "counted through from 0 (contiguous, where the ids have gaps)": dict(enumerate(identities)),
    }
    # Without gaps, counting through is the right numbering, or a shift that stands in the list already.
    gaps = len(known) and known[-1] - known[0] + 1 != len(known)
    return found if gaps else dict(list(found.items())[:2])


def _best_numbering(known: np.ndarray, pairs: np.ndarray) -> str | None:
    """Return the numbering that explains the pairs [P, 2] (detected, annotated class), if any does."""
    if not len(pairs):
        return None
    right = pairs[:, 0] == pairs[:, 1]
    best, best_share = None, 0.0
    for name, to_id in _numberings(known).items():
        agrees = _apply(pairs[:, 0], to_id) == pairs[:, 1]
        share = agrees.mean()
        gained = int((agrees & ~right).sum())
        if share >= MIN_SHARE and share > right.mean() + MIN_GAIN and gained >= MIN_PAIRS and share > best_share:
            best, best_share = name, share
    return best


def _apply(numbers: np.ndarray, to_id: Mapping[int, int]) -> np.ndarray:
    return np.array([to_id.get(number, -1) for number in numbers.tolist()], np.int64)


def _overlapping_classes(truth: GroundTruth, detections: Detections) -> np.ndarray:
    """Return int64 [P, 2]: for annotations on some images the class of the best detection at IoU 0.5, and their own."""
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
        overlaps = np.where(overlaps >= 0.5, 1.0, 0.0)  # the first above 0.5 is the one with the highest score
        chosen = overlaps.argmax(axis=1)
        hit = overlaps[np.arange(len(annotated)), chosen] > 0
        classes = (detections.category_ids[found[chosen]], truth.category_ids[annotated])
        pairs.append(np.stack(classes, axis=1)[hit])
    return np.concatenate(pairs) if pairs else np.zeros((0, 2), np.int64)


def _rows_by_image(image_ids: np.ndarray, wanted: np.ndarray) -> dict[int, np.ndarray]:
    """Return image id → indices of its rows, in their order."""
    rows = np.flatnonzero(np.isin(image_ids, wanted))
    rows = rows[np.argsort(image_ids[rows], kind="stable")]
    starts = np.searchsorted(image_ids[rows], wanted)
    return dict(zip(wanted.tolist(), np.split(rows, starts[1:]), strict=True))


def iou_xywh(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the intersection over union [A, B] of boxes [A, 4] and [B, 4], 0 where a box has no area."""
    corners = [np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1) for boxes in (first, second)]
    a, b = corners[0][:, None], corners[1][None]
    sides = np.maximum(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0)
    shared = sides.prod(axis=-1)
    union = first[:, 2:].prod(axis=1)[:, None] + second[:, 2:].prod(axis=1)[None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
