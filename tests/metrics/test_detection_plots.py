"""Plots of an evaluation, also without annotations."""

from __future__ import annotations

from pathlib import Path

import pytest
from detection_cases import noisy_case
from PIL import Image

from mnasnet_cli.metrics.coco_files import parse_detections, parse_ground_truth
from mnasnet_cli.metrics.coco_map import evaluate_detections
from mnasnet_cli.metrics.detection_plots import plot_evaluation


@pytest.mark.parametrize("annotated", [True, False])
def test_all_plots_are_written(tmp_path: Path, annotated: bool) -> None:
    truth, found = noisy_case()
    truth["categories"][0]["name"] = "odd $name_"
    if not annotated:
        truth["annotations"] = []
    annotations, detections = parse_ground_truth(truth, ""), parse_detections(found, "")
    paths = plot_evaluation(evaluate_detections(annotations, detections), annotations, detections, tmp_path / "new")
    assert [path.name for path in paths] == ["pr_curves.png", "ap_per_class.png", "confusion.png"]
    for path in paths:
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert len(image.convert("RGB").getcolors(1 << 24) or ()) > 20
