"""A classifier of any format on validation records. Plots are in commands/test_eval.py."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from mnasnet_cli.errors import CheckpointError, DataError
from mnasnet_cli.evaluation.classifier import evaluate_classifier


@pytest.fixture(scope="module")
def records(shape_records: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records whose classes have the labels of `made_classifier`; never change them."""
    folder = Path(shutil.copytree(shape_records, tmp_path_factory.mktemp("named") / "records"))
    lines = zip("abcd", ("ant", "bee", "cat", "dog"), strict=True)
    (folder / "labels.txt").write_text("".join(f"{label}\t{name}\n" for label, name in lines))
    return folder


@pytest.fixture(scope="module")
def usual(made_classifier: Path, records: Path) -> dict[str, Any]:
    """The report of `made_classifier`, all images at a time."""
    return evaluate_classifier(str(made_classifier), records, batch_size=20)


def test_a_report_does_not_depend_on_the_batch_size(
    usual: dict[str, Any], made_classifier: Path, records: Path
) -> None:
    few = evaluate_classifier(str(made_classifier), records, batch_size=3)
    assert few["examples"] == 20
    assert 0.0 <= few["top1"] <= few["top5"] == 1.0  # of four classes
    assert few["loss"] == pytest.approx(usual["loss"], rel=1e-5)
    assert few["per_class"] == usual["per_class"]


@pytest.mark.parametrize(
    "model_format",
    ["tflite", *(pytest.param(name, marks=pytest.mark.variation) for name in ("saved-model", "frozen", "onnx"))],
)
def test_artifacts_score_as_their_checkpoint(
    usual: dict[str, Any], exported_classifier: Path, records: Path, model_format: str
) -> None:
    report = evaluate_classifier(str(exported_classifier / model_format), records)
    assert (report["format"], usual["format"]) == (model_format, "checkpoint")
    assert report["loss"] == pytest.approx(usual["loss"], abs=1e-3)
    assert (report["top1"], report["per_class"]) == (usual["top1"], usual["per_class"])


def test_other_classes_and_other_models_are_errors(
    made_classifier: Path, made_detector: Path, records: Path, shape_records: Path
) -> None:
    with pytest.raises(DataError, match="n90000001"):
        evaluate_classifier(str(made_classifier), shape_records)
    with pytest.raises(CheckpointError, match="--coco-val"):
        evaluate_classifier(str(made_detector), records)
