"""The COCO report of a results file: metrics, AP per class, plots, best and worst images. Needs no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mnasnet_cli.errors import ConfigError, DataError
from mnasnet_cli.metrics.category_ids import check_category_ids
from mnasnet_cli.metrics.coco_files import Detections, GroundTruth, read_detections, read_ground_truth
from mnasnet_cli.metrics.coco_map import COCO_METRICS, ENGINES, evaluate_detections, self_check
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
    """Evaluate a results file against an annotation file.

    Args:
      engine: "faster" or "pycocotools"; both give the same numbers.
      plots: folder for precision-recall curves and AP per class.
      images: folder of the annotated images; if given, the best and worst images are drawn into `plots`.
      markdown: file for the tables in Markdown.

    Returns:
      the summary of `report`.

    Raises:
      ConfigError: the engine is unknown, `images` is not a folder, or `plots` is missing.
      DataError: a file is not in COCO's format.
    """
    if engine not in ENGINES:
        raise ConfigError(f"unknown evaluation engine '{engine}'; expected {' or '.join(ENGINES)}")
    if images is not None and plots is None:
        raise ConfigError("--images needs --plots DIR, the folder for the drawn images")
    if images is not None and not images.is_dir():
        raise ConfigError(f"--images {images} is not a folder; name the folder of the annotated images")
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
    """Evaluate detections against ground truth, after a self-check of the evaluation.

    Returns:
      detections and annotations (their sources), engine, the metrics AP … AR_large (None if undefined), images,
      per_class, warnings (lines of text), and plots (paths) if requested.

    Raises:
      DataError: detections have image ids or category ids that the annotations do not list.
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

        paths = plot_evaluation(evaluation, truth, detections, plots)
        if images is not None:
            from mnasnet_cli.metrics.detection_images import draw_best_and_worst

            paths += draw_best_and_worst(truth, detections, images, plots)
        summary["plots"] = [str(path) for path in paths]
    return summary


def check_detections(truth: GroundTruth, detections: Detections) -> list[str]:
    """Return warnings about detections that look wrong; raises DataError if they can't be evaluated."""
    count = len(detections.scores)
    if not count:
        return [f"{detections.source} holds no detections; all defined metrics are 0"]
    unknown = ~np.isin(detections.image_ids, list(truth.images))
    if unknown.any():
        raise DataError(
            f"{detections.source}: {unknown.sum()} of {count} detections have an image_id that {truth.source} does not "
            f"list (the first is {detections.image_ids[unknown][0]}); name the annotations of the same images"
        )
    warnings = [note for note in [check_category_ids(truth, detections)] if note]
    boxes = detections.boxes_xywh
    negative = int((boxes[:, 2:] < 0).any(axis=1).sum())
    if negative:
        warnings.append(f"{negative} of {count} boxes have a negative width or height; expected [x, y, width, height]")
    if len(truth.boxes_xywh) and truth.boxes_xywh.max() > 2 >= boxes.max():
        warnings.append("all detected boxes lie within 2 px: they look normalized to [0, 1]; expected pixels")
    outside = _share_outside(truth, detections)
    if outside > 0.25:
        warnings.append(
            f"{100 * outside:.0f} % of the boxes reach far beyond their image: they look like corners [x1, y1, x2, y2] "
            "or like pixels of another image size; expected [x, y, width, height] in pixels of the original image"
        )
    return warnings


def _share_outside(truth: GroundTruth, detections: Detections) -> float:
    """Return the share of boxes that end beyond 1.2 times the image size; 0 if sizes are unknown."""
    sizes = {key: (entry.get("width"), entry.get("height")) for key, entry in truth.images.items()}
    if not all(isinstance(side, int | float) and side > 0 for size in sizes.values() for side in size):
        return 0.0
    known, inverse = np.unique(detections.image_ids, return_inverse=True)
    limits = np.array([sizes[image] for image in known.tolist()], np.float64)[inverse]
    ends = detections.boxes_xywh[:, :2] + detections.boxes_xywh[:, 2:]
    return float((ends > 1.2 * limits).any(axis=1).mean())


def metric_rows(summary: Mapping[str, Any]) -> list[tuple[str, str, str | None]]:
    """Return the 12 metrics as table rows: name, meaning, and value with three digits (None if undefined)."""
    return [(name, MEANINGS[name], format_metric(summary[name])) for name in COCO_METRICS]


def format_metric(value: float | None) -> str | None:
    """Return a metric with three digits, as pycocotools prints it."""
    return None if value is None else f"{value:.3f}"


def to_markdown(summary: Mapping[str, Any]) -> str:
    """Return the report as Markdown: the 12 metrics, then AP per class."""
    lines = [
        f"# COCO report of {Path(summary['detections']).name}",
        "",
        f"Against {Path(summary['annotations']).name}, {summary['images']:,} images, engine {summary['engine']}.",
        "",
        *(f"Warning: {warning}\n" for warning in summary["warnings"]),
        *_table(("metric", "meaning", "value"), metric_rows(summary)),
        "",
        "## AP per class",
        "",
        *_table(("class", "name", "annotations", "AP", "AP50"), class_rows(summary)),
    ]
    return "\n".join(lines) + "\n"


def class_rows(summary: Mapping[str, Any]) -> list[tuple[int, str, int, str | None, str | None]]:
    """Return AP per class as table rows, sorted by category id."""
    return [
        (row["class"], row["name"], row["annotations"], format_metric(row["AP"]), format_metric(row["AP50"]))
        for row in summary["per_class"]
    ]


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    cells = [["n/a" if value is None else str(value).replace("|", "\\|") for value in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in [list(columns), ["---"] * len(columns), *cells]]
