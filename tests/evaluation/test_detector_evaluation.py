"""A detector of any format on validation records. Plots are in commands/test_eval_coco.py."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mnasnet_cli.errors import CheckpointError, DataError
from mnasnet_cli.evaluation.detector import evaluate_detector
from mnasnet_cli.metrics.coco_map import COCO_METRICS


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what `usual` writes."""
    return tmp_path_factory.mktemp("written")


@pytest.fixture(scope="module")
def usual(made_detector: Path, scene_records: Path, written: Path) -> dict[str, Any]:
    """The report of `made_detector`, four images at a time."""
    file = written / "new" / "found.json"
    return evaluate_detector(str(made_detector), scene_records, batch_size=4, detections_file=file)


def test_a_report_does_not_depend_on_the_batch_size(
    usual: dict[str, Any], made_detector: Path, scene_records: Path
) -> None:
    single = evaluate_detector(str(made_detector), scene_records, batch_size=1)
    assert single["images"] == 6
    for number in COCO_METRICS:
        assert single[number] == pytest.approx(usual[number], abs=1e-6), number
    assert single["loss"] == pytest.approx(usual["loss"], rel=1e-5)


@pytest.mark.parametrize(
    "model_format",
    ["tflite", *(pytest.param(name, marks=pytest.mark.variation) for name in ("saved-model", "frozen", "onnx"))],
)
def test_artifacts_score_as_their_checkpoint(
    usual: dict[str, Any], exported_detector: Path, scene_records: Path, model_format: str
) -> None:
    report = evaluate_detector(str(exported_detector / model_format), scene_records)
    assert (report["format"], report["loss"]) == (model_format, None)  # artifacts have no loss
    for number in COCO_METRICS:
        assert report[number] == pytest.approx(usual[number], abs=1e-3), number


def test_detections_are_written(usual: dict[str, Any], written: Path) -> None:
    rows = json.loads((written / "new" / "found.json").read_text())
    assert {row["category_id"] for row in rows} <= {1, 4, 7}
    assert len({row["image_id"] for row in rows}) <= 6
    assert all(row["bbox"][2] > 0 and row["bbox"][3] > 0 and 0 < row["score"] <= 1 for row in rows)


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
