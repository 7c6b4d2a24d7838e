"""COCO files become columns; faulty content is named by its row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from detection_cases import noisy_case

from mnasnet_cli.errors import DataError
from mnasnet_cli.metrics.coco_files import (
    iou_xywh,
    parse_detections,
    parse_ground_truth,
    read_detections,
    read_ground_truth,
)

GOOD = {"image_id": 7, "category_id": 1, "bbox": [0, 0, 5, 5], "score": 0.5}


def minimal(**annotation: Any) -> dict[str, Any]:
    row = {"id": 1, "image_id": 1, "category_id": 4, "bbox": [1, 2, 3, 4], **annotation}
    return {"images": [{"id": 1}], "categories": [{"id": 4, "name": "cat"}], "annotations": [row]}


def test_ground_truth_as_columns() -> None:
    truth = parse_ground_truth(minimal(area=5.5, iscrowd=1), "truth.json")
    assert (truth.source, truth.categories, list(truth.images), truth.notes) == ("truth.json", {4: "cat"}, [1], ())
    assert (truth.image_ids.tolist(), truth.category_ids.tolist()) == ([1], [4])
    assert (truth.boxes_xywh.tolist(), truth.areas.tolist(), truth.crowd.tolist()) == ([[1, 2, 3, 4]], [5.5], [True])
    assert truth.boxes_xywh.dtype == np.float64


def test_missing_values_have_defaults() -> None:
    truth = parse_ground_truth(minimal(), "truth.json")
    assert (truth.areas.tolist(), truth.crowd.tolist()) == ([12.0], [False])
    [note] = truth.notes
    assert note.startswith("truth.json: 1 annotations ")


@pytest.mark.parametrize("change", [{"image_id": 9}, {"category_id": 9}])
def test_annotations_of_unlisted_images_and_categories_are_left_out(change: dict[str, int]) -> None:
    truth = parse_ground_truth(minimal(area=1, **change), "truth.json")
    assert len(truth.image_ids) == 0
    [note] = truth.notes
    assert note.startswith("truth.json: 1 annotations ")


def test_repeated_ids_are_noted() -> None:
    content = minimal(area=1)
    content["images"] *= 2
    content["annotations"] *= 2
    assert len(parse_ground_truth(content, "").notes) == 2


def test_select_keeps_images_and_categories() -> None:
    truth = parse_ground_truth(noisy_case()[0], "")
    selected = truth.select(truth.crowd)
    assert selected.crowd.all()
    assert (selected.images, selected.categories) == (truth.images, truth.categories)


@pytest.mark.parametrize(
    ("content", "facts"),
    [
        ([], ["images"]),
        ({"images": []}, ["'annotations'", "images"]),
        ([GOOD], ["DETECTIONS.json ANNOTATIONS.json"]),
        ({"images": [{"id": "a"}], "annotations": [], "categories": []}, ["image 0", "'a'"]),
        ({"images": [{"id": True}], "annotations": [], "categories": []}, ["image 0", "True"]),
        ({"images": [], "annotations": [{"image_id": 7}], "categories": []}, ["annotation 0", "'category_id'"]),
        (minimal(area="large"), ["area", "not a number"]),
        (minimal(bbox=None), ["annotation 0", "bbox", "None"]),
    ],
)
def test_faulty_ground_truth(content: Any, facts: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        parse_ground_truth(content, "truth.json")
    assert_message(caught.value, "truth.json", *facts)


@pytest.mark.parametrize(
    ("content", "facts"),
    [
        ([GOOD, {**GOOD, "bbox": [1, 2, 3]}], ["detection 1", "bbox", "[1, 2, 3]", "[x, y, width, height]"]),
        ([GOOD, {**GOOD, "score": "high"}], ["detection 1", "score", "'high'"]),
        ([{**GOOD, "score": float("nan")}], ["detection 0", "score", "nan"]),
        ([{**GOOD, "image_id": "7"}], ["detection 0", "image_id", "'7'"]),
        ([{**GOOD, "image_id": 7.5}], ["detection 0", "image_id", "7.5"]),
        ([{"image_id": 7, "category_id": 1, "segmentation": {}, "score": 1}], ["detection 0", "'bbox'"]),
        ([3], ["detection 0", "'3'"]),
        ({"boxes": []}, ['"image_id"', '"score"']),
        (noisy_case(2, 2)[0], ["DETECTIONS.json ANNOTATIONS.json"]),
    ],
)
def test_faulty_detections(content: Any, facts: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        parse_detections(content, "found.json")
    assert_message(caught.value, "found.json", *facts)


@pytest.mark.parametrize("read", [read_ground_truth, read_detections])
@pytest.mark.parametrize("content", [b'[{"image_id": 7,', b"\x89PNG\xff\xfe", b"[" * 100_000])
def test_files_that_are_not_json(tmp_path: Path, content: bytes, read: Any) -> None:
    (tmp_path / "x.json").write_bytes(content)
    for path in (tmp_path / "x.json", tmp_path / "none.json", tmp_path):
        with pytest.raises(DataError) as caught:
            read(path)
        assert_message(caught.value, str(path))


def assert_message(error: DataError, *facts: str) -> None:
    for fact in facts:
        assert fact in str(error)
    assert len(str(error).splitlines()) == 1


def test_iou_by_hand() -> None:
    first = np.array([[0.0, 0, 10, 10], [5, 5, 0, 9]])
    second = np.array([[0.0, 5, 10, 10], [20, 20, 5, 5], [2, 2, 2, 5]])
    np.testing.assert_allclose(iou_xywh(first, second), [[50 / 150, 0, 0.1], [0, 0, 0]])
