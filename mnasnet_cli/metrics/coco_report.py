"""The COCO report of a results file: numbers, AP per class, plots, best and worst images; without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mnasnet_cli.errors import ConfigError, DataError
from mnasnet_cli.metrics.category_ids import check_class_numbers
from mnasnet_cli.metrics.coco_files import Detections, GroundTruth, read_detections, read_ground_truth
from mnasnet_cli.metrics.coco_map import ENGINES, NUMBERS, evaluate_detections, self_check
from mnasnet_cli.system.files import write_atomically

MEANINGS = {
    "AP": "IoU 0.50:0.95",
    "AP50": "IoU 0.50",
    "AP75": "IoU 0.75",
    "AP_small": "IoU 0.50:0.95, area below 32² px",
    "AP_medium": "IoU 0.50:0.95, area 32² to 96² px",
    "AP_large": "IoU 0.50:0.95, area above 96² px",
    "AR1": "recall with 1 detection per image and class",
    "AR10": "recall with 10 detections",
    "AR100": "recall with 100 detections",
    "AR_small": "recall with 100 detections, area below 32² px",
    "AR_medium": "recall with 100 detections, area 32² to 96² px",
    "AR_large": "recall with 100 detections, area above 96² px",
}


def report_files(
    detections: Path,
    annotations: Path,
    *,
    engine: str = "faster",
    plots: Path | None = None,
    images: Path | None = None,
    markdown: Path | None = None,
) -> dict[str, Any]:
    """Score a results file against an annotation file.

    Args:
      engine: "faster" or "pycocotools"; the numbers are the same.
      plots: a folder for precision-recall curves and AP per class.
      images: the folder of the annotated images; with it the best and worst images are drawn into `plots`.
      markdown: a file for the same tables in Markdown.

    Returns: the summary of `report`.
    """
    if engine not in ENGINES:
        raise ConfigError(f"no evaluation engine '{engine}'; there are {' and '.join(ENGINES)}")
    if images is not None and plots is None:
        raise ConfigError("--images needs --plots DIR, the folder that the pictures are written into")
    if images is not None and not images.is_dir():
        raise ConfigError(f"{images} is no folder of images")
    summary = report(
        read_ground_truth(annotations), read_detections(detections), engine=engine, plots=plots, images=images
    )
    if markdown is not None:
        write_atomically(markdown, to_markdown(summary))
    return summary


def report(
    truth: GroundTruth,
    detections: Detections,
    *,
    engine: str = "faster",
    plots: Path | None = None,
    images: Path | None = None,
) -> dict[str, Any]:
    """Score detections against ground truth, after a check of the evaluation itself.

    Returns: detections, annotations (their sources), engine, AP, AP50, … AR_large (None where undefined), images,
    per_class, warnings (lines to show), and plots (paths) where they were asked for.
    Raises DataError where detections name images or categories that the annotations don't have.
    """
    warnings = [*truth.notes, *check_detections(truth, detections)]
    if images is not None:
        from mnasnet_cli.metrics.detection_images import check_image_folder

        warnings += [note for note in [check_image_folder(truth, images)] if note]
    self_check(truth, engine=engine)
    evaluation = evaluate_detections(truth, detections, engine)
    summary = {
        "detections": detections.source,
        "annotations": truth.source,
        "engine": engine,
        **evaluation.summary(),
        "warnings": warnings,
    }
    if plots is not None:
        from mnasnet_cli.metrics.detection_plots import plot_evaluation

        paths = plot_evaluation(evaluation, plots)
        if images is not None:
            from mnasnet_cli.metrics.detection_images import draw_best_and_worst

            paths += draw_best_and_worst(truth, detections, images, plots)
        summary["plots"] = [str(path) for path in paths]
    return summary


def check_detections(truth: GroundTruth, detections: Detections) -> list[str]:
    """Return warnings about detections that can be scored but look wrong; raises DataError for those that cannot."""
    count = len(detections.scores)
    if not count:
        return [f"{detections.source} holds no detections: every number that is defined is 0"]
    strange = ~np.isin(detections.image_ids, list(truth.images))
    if strange.any():
        raise DataError(
            f"{detections.source}: {strange.sum()} of {count} detections are of images that {truth.source} doesn't "
            f"list (the first: image_id {detections.image_ids[strange][0]})"
        )
    warnings = [note for note in [check_class_numbers(truth, detections)] if note]
    boxes = detections.boxes_xywh
    negative = int((boxes[:, 2:] < 0).any(axis=1).sum())
    if negative:
        warnings.append(
            f"{negative} of {count} boxes have a negative width or height; COCO's are [x, y, width, height]"
        )
    if len(truth.boxes_xywh) and truth.boxes_xywh.max() > 2 >= boxes.max():
        warnings.append("all detected boxes lie within 2 px: they look normalised to [0, 1]; pixels are expected")
    over = _share_over_the_edge(truth, detections)
    if over > 0.25:
        warnings.append(
            f"{over:.0%} of the boxes reach far beyond their image: they look like corners [x1, y1, x2, y2], or like "
            "pixels of another image size; COCO's are [x, y, width, height] in pixels of the original image"
        )
    return warnings


def _share_over_the_edge(truth: GroundTruth, detections: Detections) -> float:
    """Return the share of boxes that end more than a fifth of the image beyond it; 0 where sizes aren't known."""
    sizes = {key: (entry.get("width"), entry.get("height")) for key, entry in truth.images.items()}
    if not all(isinstance(side, int | float) and side > 0 for size in sizes.values() for side in size):
        return 0.0
    known, inverse = np.unique(detections.image_ids, return_inverse=True)
    limits = np.array([sizes[image] for image in known.tolist()], np.float64)[inverse]
    ends = detections.boxes_xywh[:, :2] + detections.boxes_xywh[:, 2:]
    return float((ends > 1.2 * limits).any(axis=1).mean())


def number_rows(summary: Mapping[str, Any]) -> list[tuple[str, str, str | None]]:
    """Return the twelve as table rows: name, meaning, value with COCO's three digits (None where undefined)."""
    return [(name, MEANINGS[name], three_digits(summary[name])) for name in NUMBERS]


def three_digits(value: float | None) -> str | None:
    """Return a number as pycocotools prints it."""
    return None if value is None else f"{value:.3f}"


def to_markdown(summary: Mapping[str, Any]) -> str:
    """Return the report as Markdown: the twelve numbers, then AP per class."""
    lines = [
        f"# COCO report of {Path(summary['detections']).name}",
        "",
        f"Against {Path(summary['annotations']).name}, {summary['images']:,} images, engine {summary['engine']}.",
        "",
        *(f"Warning: {warning}\n" for warning in summary["warnings"]),
        *_table(("number", "what", "value"), number_rows(summary)),
        "",
        "## AP per class",
        "",
        *_table(("class", "name", "annotations", "AP", "AP50"), class_rows(summary)),
    ]
    return "\n".join(lines) + "\n"


def class_rows(summary: Mapping[str, Any]) -> list[tuple[int, str, int, str | None, str | None]]:
    """Return AP per class as table rows, in the order of the category ids."""
    return [
        (row["class"], row["name"], row["annotations"], three_digits(row["AP"]), three_digits(row["AP50"]))
        for row in summary["per_class"]
    ]


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    cells = [["n/a" if value is None else str(value).replace("|", "\\|") for value in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in [list(columns), ["---"] * len(columns), *cells]]
