"""A classifier of any format on validation records."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mnasnet_cli.errors import CheckpointError, DataError
from mnasnet_cli.evaluation.classifier import evaluate_classifier


@pytest.fixture
def records(shape_records: Path, tmp_path: Path) -> Path:
    """Records whose classes have the labels of `made_classifier`."""
    folder = Path(shutil.copytree(shape_records, tmp_path / "records"))
    lines = zip("abcd", ("ant", "bee", "cat", "dog"), strict=True)
    (folder / "labels.txt").write_text("".join(f"{label}\t{name}\n" for label, name in lines))
    return folder


def test_a_report_does_not_depend_on_the_batch_size(made_classifier: Path, records: Path) -> None:
    reports = [evaluate_classifier(str(made_classifier), records, batch_size=size) for size in (3, 20)]
    assert reports[0]["examples"] == 20
    assert 0.0 <= reports[0]["top1"] <= reports[0]["top5"] == 1.0  # of four classes
    assert reports[0]["loss"] == pytest.approx(reports[1]["loss"], rel=1e-5)
    assert reports[0]["per_class"] == reports[1]["per_class"]


@pytest.mark.parametrize(
    "model_format",
    ["tflite", *(pytest.param(name, marks=pytest.mark.variation) for name in ("saved-model", "frozen", "onnx"))],
)
def test_artifacts_score_as_their_checkpoint(
    made_classifier: Path, exported_classifier: Path, records: Path, model_format: str
) -> None:
    wanted = evaluate_classifier(str(made_classifier), records)
    report = evaluate_classifier(str(exported_classifier / model_format), records)
    assert (report["format"], wanted["format"]) == (model_format, "checkpoint")
    assert report["loss"] == pytest.approx(wanted["loss"], abs=1e-3)
    assert (report["top1"], report["per_class"]) == (wanted["top1"], wanted["per_class"])


def test_plots_are_a_confusion_matrix_and_the_worst_images(
    made_classifier: Path, records: Path, tmp_path: Path
) -> None:
    evaluate_classifier(str(made_classifier), records, plots=tmp_path / "plots")
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == [
        "best_images.png", "confusion.png", "pr_curves.png", "top1_per_class.png", "worst_images.png"
    ]  # fmt: skip


def test_other_classes_and_other_models_are_errors(
    made_classifier: Path, made_detector: Path, records: Path, shape_records: Path
) -> None:
    with pytest.raises(DataError, match="n90000001"):
        evaluate_classifier(str(made_classifier), shape_records)
    with pytest.raises(CheckpointError, match="--coco-val"):
        evaluate_classifier(str(made_detector), records)
