"""The images with the best and the worst detections, drawn with their annotations and detections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mnasnet_cli.errors import DataError
from mnasnet_cli.metrics.coco_files import Detections, GroundTruth, iou_xywh
from mnasnet_cli.pages.labels import Box, draw_boxes, font_for
from mnasnet_cli.pages.sheets import draw_sheet, save_sheet
from mnasnet_cli.system.files import make_folder

if TYPE_CHECKING:
    from PIL.Image import Image

BEST_FILE, WORST_FILE = "best_images.png", "worst_images.png"
SHOWN = 8  # images in each figure
MATCH_IOU = 0.5
TRUE_COLOR, CORRECT_COLOR, WRONG_COLOR, CROWD_COLOR = "lime", "deepskyblue", "orangered", "yellow"
MAX_WRONG = 20  # wrong detections that are drawn, those with the highest scores
LEGEND = (
    (TRUE_COLOR, "annotation"),
    (CORRECT_COLOR, "correct detection"),
    (WRONG_COLOR, f"wrong detection (the {MAX_WRONG} best)"),
    (CROWD_COLOR, "crowd, dashed"),
)
MIN_SIDE, MAX_SIDE = 320, 480  # px of the longer side; other images are scaled, so that labels can be read


@dataclass(frozen=True)
class ImageScore:
    """One image at the common score threshold.

    Attributes:
      f1: in [0, 1].
      annotations: their number, without crowds.
      correct, wrong: indices of its correct and wrong detections.
    """

    image_id: int
    f1: float
    annotations: int
    correct: np.ndarray
    wrong: np.ndarray


def score_images(truth: GroundTruth, detections: Detections) -> tuple[float, list[ImageScore]]:
    """Return the score threshold with the best F1 over all images, and the images with their F1 there, worst first.

    A detection is correct if its IoU with an annotation of its class is at least 0.5, and no detection with a higher
    score matches that annotation. Detections inside a crowd region do not count. Images without annotations have no F1
    and are left out.
    """
    correct, ignored = match_detections(truth, detections)
    order = np.argsort(-detections.scores, kind="stable")
    order = order[~ignored[order]]
    total = int((~truth.crowd).sum())
    hits = np.cumsum(correct[order])
    f1 = 2 * hits / np.maximum(np.arange(1, len(order) + 1) + total, 1)
    threshold = float(detections.scores[order[f1.argmax()]]) if len(order) else 0.0
    shown = np.flatnonzero((detections.scores >= threshold) & ~ignored)
    counts = dict.fromkeys(truth.images, 0)
    for image in truth.image_ids[~truth.crowd].tolist():
        counts[image] += 1
    rows = _group(detections.image_ids[shown], shown)
    scores = []
    for image, annotated in counts.items():
        if annotated:
            own = rows.get(image, np.zeros(0, np.int64))
            true_positives = int(correct[own].sum())
            value = 2 * true_positives / (annotated + len(own))
            scores.append(ImageScore(image, value, annotated, own[correct[own]], own[~correct[own]]))
    # Among images with the same F1, those with more annotations come first.
    return threshold, sorted(scores, key=lambda score: (score.f1, -score.annotations))


def best_and_worst(scores: Sequence[ImageScore], count: int = SHOWN) -> dict[str, list[ImageScore]]:
    """Return the `count` "best" images, with a correct detection, and the "worst" ones, with a fault.

    Args:
      scores: of `score_images`.
    """
    best = sorted(scores, key=lambda score: (-score.f1, -score.annotations))
    return {
        "best": [score for score in best if score.f1 > 0][:count],
        "worst": [score for score in scores if score.f1 < 1][:count],
    }


def draw_best_and_worst(truth: GroundTruth, detections: Detections, images: Path, folder: Path) -> list[Path]:
    """Draw the images with the highest and the lowest F1 into two figures; return their paths."""
    make_folder(folder)
    threshold, scores = score_images(truth, detections)
    scores = [score for score in scores if image_file(truth, score.image_id, images) is not None]
    paths = [folder / BEST_FILE, folder / WORST_FILE]
    for path, chosen in zip(paths, best_and_worst(scores).values(), strict=True):
        pictures = [draw_image(truth, detections, score, _open(truth, score, images)) for score in chosen]
        captions = [
            f"{truth.images[score.image_id].get('file_name')}\nF1 {score.f1:.2f}: {score.annotations} annotated, "
            f"{len(score.correct)} correct, {len(score.wrong)} wrong"
            for score in chosen
        ]
        title = f"{path.stem.replace('_', ' ').capitalize()}: detections with a score of at least {threshold:.2f}"
        save_sheet(draw_sheet(pictures, captions, columns=4, tile=MAX_SIDE, legend=LEGEND, title=title), path)
    return paths


def check_image_folder(truth: GroundTruth, images: Path) -> str | None:
    """Return a warning if the folder lacks some of the images; raises DataError if it has none of them."""
    missing = [identity for identity in truth.images if image_file(truth, identity, images) is None]
    if missing and len(missing) == len(truth.images):
        name = truth.images[missing[0]].get("file_name", "without file_name")
        raise DataError(
            f"{images} holds none of the images of {truth.source} (the first is {name}); name their folder "
            "with --images"
        )
    return f"{images} lacks {len(missing)} of {len(truth.images)} images; they are not drawn" if missing else None


def image_file(truth: GroundTruth, image_id: int, folder: Path) -> Path | None:
    """Return the file of an image in the folder; None if it is missing."""
    name = str(truth.images[image_id].get("file_name", ""))
    path = folder / name
    return path if name and path.is_file() else None


def match_detections(truth: GroundTruth, detections: Detections) -> tuple[np.ndarray, np.ndarray]:
    """Return which detections are correct and which do not count, two masks bool [N]."""
    correct = np.zeros(len(detections.scores), bool)
    ignored = ~np.isin(detections.image_ids, list(truth.images))
    true_rows = _group_pairs(truth.image_ids, truth.category_ids)
    for key, rows in _group_pairs(detections.image_ids, detections.category_ids).items():
        annotated = true_rows.get(key)
        if annotated is None:
            continue
        crowd = truth.crowd[annotated]
        overlaps = iou_xywh(detections.boxes_xywh[rows], truth.boxes_xywh[annotated])
        overlaps[:, crowd] = 0
        for row, values in sorted(zip(rows.tolist(), overlaps, strict=True), key=lambda p: -detections.scores[p[0]]):
            taken = int(values.argmax())
            if values[taken] >= MATCH_IOU:
                correct[row] = True
                overlaps[:, taken] = 0
        if crowd.any():
            inside = _share_inside(detections.boxes_xywh[rows], truth.boxes_xywh[annotated[crowd]])
            ignored[rows] |= (inside >= MATCH_IOU) & ~correct[rows]
    return correct, ignored


def _share_inside(boxes: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """Return per box [N, 4] the largest share of its area inside one of the regions [C, 4], as COCO does for crowds."""
    shares = np.zeros(len(boxes))
    for x, y, width, height in regions:
        sides = np.minimum(boxes[:, :2] + boxes[:, 2:], [x + width, y + height]) - np.maximum(boxes[:, :2], [x, y])
        shares = np.maximum(shares, np.maximum(sides, 0).prod(axis=1) / np.maximum(boxes[:, 2:].prod(axis=1), 1e-9))
    return shares


def _group(keys: np.ndarray, values: np.ndarray) -> dict[int, np.ndarray]:
    order = np.argsort(keys, kind="stable")
    found, starts = np.unique(keys[order], return_index=True)
    return dict(zip(found.tolist(), np.split(values[order], starts[1:]), strict=True)) if len(keys) else {}


def _group_pairs(images: np.ndarray, categories: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
    """Return (image id, category id) → indices of its rows."""
    order = np.lexsort((categories, images))
    pairs = np.stack([images[order], categories[order]], axis=1)
    starts = np.flatnonzero(np.any(pairs[1:] != pairs[:-1], axis=1)) + 1
    groups = np.split(order, starts) if len(order) else []
    return {(int(images[rows[0]]), int(categories[rows[0]])): rows for rows in groups}


def in_frame_of(entry: Mapping[str, Any], image: Image) -> Image:
    """Return an image upright by its EXIF orientation, or as stored if only so it has the size that the file tells."""
    from PIL import ImageOps

    told = entry.get("width"), entry.get("height")
    upright = ImageOps.exif_transpose(image)
    return image if image.size == told != upright.size else upright


def draw_image(truth: GroundTruth, detections: Detections, score: ImageScore, picture: Image) -> Image:
    """Return a picture with its annotations, and the correct and wrong detections of `score`.

    Its longer side is MIN_SIDE to MAX_SIDE px.

    Args:
      picture: in the frame of its boxes, see `in_frame_of`; it is not changed.
    """
    longer = max(picture.size)
    scale = min(max(longer, MIN_SIDE), MAX_SIDE) / longer
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    picture = picture.convert("RGB").resize(size)
    font = font_for(size)

    def box(row: int, boxes: np.ndarray, color: str, line: int, text: str, *, dashed: bool = False) -> Box:
        x, y, w, h = (value * scale for value in boxes[row].tolist())
        return Box((x, y, x + w, y + h), text, color, line, dashed)

    def found(rows: np.ndarray, color: str) -> list[Box]:
        rows = rows[np.argsort(-detections.scores[rows], kind="stable")]  # the best on top
        names = (truth.categories.get(int(detections.category_ids[row]), detections.category_ids[row]) for row in rows)
        return [
            box(row, detections.boxes_xywh, color, 2, f"{name} {detections.scores[row]:.2f}")
            for row, name in zip(rows.tolist(), names, strict=True)
        ]

    annotated = []
    for row in np.flatnonzero(truth.image_ids == score.image_id).tolist():
        name = truth.categories[int(truth.category_ids[row])]
        if truth.crowd[row]:
            annotated.append(box(row, truth.boxes_xywh, CROWD_COLOR, 4, f"{name} (crowd)", dashed=True))
        else:  # the detection tells the name of what was found
            text = "" if _is_found(truth, detections, row, score.correct) else name
            annotated.append(box(row, truth.boxes_xywh, TRUE_COLOR, 4, text))
    draw_boxes(
        picture, [*found(score.correct, CORRECT_COLOR), *found(score.wrong, WRONG_COLOR)[:MAX_WRONG], *annotated], font
    )
    return picture


def _is_found(truth: GroundTruth, detections: Detections, row: int, correct: np.ndarray) -> bool:
    """Tell whether one of the correct detections is of an annotation."""
    own = correct[detections.category_ids[correct] == truth.category_ids[row]]
    overlaps = iou_xywh(detections.boxes_xywh[own], truth.boxes_xywh[[row]])
    return bool((overlaps >= MATCH_IOU).any())


def _open(truth: GroundTruth, score: ImageScore, folder: Path) -> Image:
    """Return an image in the frame of its boxes."""
    from PIL import Image

    path = image_file(truth, score.image_id, folder)
    assert path is not None
    try:
        with Image.open(path) as opened:
            return in_frame_of(truth.images[score.image_id], opened).convert("RGB")
    except OSError as error:
        raise DataError(f"{path} can't be read: {error}") from None
