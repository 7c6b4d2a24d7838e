"""A detector of any format on validation records."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mnasnet_cli.errors import CheckpointError, DataError
from mnasnet_cli.evaluation.detector import evaluate_detector
from mnasnet_cli.metrics.coco_map import COCO_METRICS


def test_a_report_does_not_depend_on_the_batch_size(made_detector: Path, scene_records: Path) -> None:
    reports = [evaluate_detector(str(made_detector), scene_records, batch_size=size) for size in (1, 4)]
    assert reports[0]["images"] == 6
    for number in COCO_METRICS:
        assert reports[0][number] == pytest.approx(reports[1][number], abs=1e-6), number
    assert reports[0]["loss"] == pytest.approx(reports[1]["loss"], rel=1e-5)


@pytest.mark.parametrize(
    "model_format",
    ["tflite", *(pytest.param(name, marks=pytest.mark.variation) for name in ("saved-model", "frozen", "onnx"))],
)
def test_artifacts_score_as_their_checkpoint(
    made_detector: Path, exported_detector: Path, scene_records: Path, model_format: str
) -> None:
    wanted = evaluate_detector(str(made_detector), scene_records)
    report = evaluate_detector(str(exported_detector / model_format), scene_records)
    assert (report["format"], report["loss"]) == (model_format, None)  # artifacts have no loss
    for number in COCO_METRICS:
        assert report[number] == pytest.approx(wanted[number], abs=1e-3), number


def test_detections_and_plots_are_written(made_detector: Path, scene_records: Path, tmp_path: Path) -> None:
    file = tmp_path / "new" / "found.json"
    evaluate_detector(str(made_detector), scene_records, detections_file=file, plots=tmp_path / "plots")
    rows = json.loads(file.read_text())
    assert {row["category_id"] for row in rows} <= {1, 4, 7}
    assert len({row["image_id"] for row in rows}) <= 6
    assert all(row["bbox"][2] > 0 and row["bbox"][3] > 0 and 0 < row["score"] <= 1 for row in rows)
    assert {path.suffix for path in (tmp_path / "plots").iterdir()} == {".png"}


def test_other_categories_and_other_models_are_errors(
    made_classifier: Path, made_detector: Path, scene_records: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(scene_records, tmp_path / "records"))
    summary = (other / "dataset.json").read_text()
    (other / "dataset.json").write_text(summary.replace('"circle"', '"disc"'))
    with pytest.raises(DataError, match="disc"):
        evaluate_detector(str(made_detector), other)
    with pytest.raises(CheckpointError, match="--imagenet-val"):
        evaluate_detector(str(made_classifier), scene_records)
