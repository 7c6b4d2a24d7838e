"""Invalid annotation files are refused, and invalid entries are refused or skipped."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from coco_cases import annotations, change, prepare

from data_prep.detection import annotations as coco_annotations
from mnasnet_cli.errors import DataError

FAULTS = {
    "no area": (lambda one: one["bbox"].__setitem__(2, 0), coco_annotations.NO_BOX_AREA),
    "negative": (lambda one: one["bbox"].__setitem__(3, -4), coco_annotations.NO_BOX_AREA),
    "outside": (lambda one: one.update(bbox=[5000, 10, 5, 5]), coco_annotations.BOX_OUTSIDE),
    "left of it": (lambda one: one.update(bbox=[-10, 10, 10, 5]), coco_annotations.BOX_OUTSIDE),
    "category": (lambda one: one.update(category_id=2), coco_annotations.UNKNOWN_CATEGORY),
    "image": (lambda one: one.update(image_id=999), coco_annotations.UNKNOWN_IMAGE),
    "not finite": (lambda one: one["bbox"].__setitem__(0, float("nan")), coco_annotations.INVALID_BOX),
    "no box": (lambda one: one.pop("bbox"), coco_annotations.INVALID_BOX),
    "no id": (lambda one: one.pop("image_id"), coco_annotations.MISSING_IDS),
}


@pytest.mark.parametrize("name", FAULTS)
def test_invalid_annotations_are_refused_or_skipped(coco_source: Path, tmp_path: Path, name: str) -> None:
    spoil, reason = FAULTS[name]
    before = json.loads(annotations(coco_source).read_text())["annotations"]
    change(coco_source, lambda content: spoil(content["annotations"][2]))
    with pytest.raises(DataError) as caught:
        prepare(coco_source, tmp_path / "out")
    assert f"has 1 invalid entry (1: {reason}); the first is annotation " in str(caught.value)
    assert "--on-bad-annotation skip" in str(caught.value)
    assert not (tmp_path / "out").exists()
    result = prepare(coco_source, tmp_path / "out", on_bad_annotation="skip")
    [bad] = result["bad_annotations"]
    assert (bad["split"], bad["reason"]) == ("train", reason)
    assert result["splits"]["train"]["objects"]["boxes"] == len(before) - 1
    assert result["splits"]["train"]["examples"] == 20  # the images stay
    assert json.loads((tmp_path / "out" / "dataset.json").read_text())["bad_annotations"] == [bad]


def test_two_images_with_one_id(coco_source: Path, tmp_path: Path) -> None:
    """Nobody can tell on which image their boxes are, so both images are left out."""
    change(coco_source, lambda content: content["images"].append(content["images"][3] | {"file_name": "x.jpg"}))
    boxes = len(json.loads(annotations(coco_source).read_text())["annotations"])
    with pytest.raises(DataError, match=r"another image has the same id.* image 4 \(000000000004\.jpg\);"):
        prepare(coco_source, tmp_path / "out")
    result = prepare(coco_source, tmp_path / "out", on_bad_annotation="skip")
    reasons = [bad["reason"] for bad in result["bad_annotations"]]
    assert reasons.count(coco_annotations.DUPLICATE_IMAGE) == 2
    assert result["splits"]["train"]["examples"] == 19
    left_out = reasons.count(coco_annotations.SHARED_IMAGE)
    assert result["splits"]["train"]["objects"]["boxes"] == boxes - left_out < boxes


def test_only_invalid_annotations(coco_source: Path, tmp_path: Path) -> None:
    change(
        coco_source, lambda content: [one.update(category_id=one["category_id"] + 1) for one in content["annotations"]]
    )
    with pytest.raises(DataError, match=r"none of its annotations.*its category is not in the file"):
        prepare(coco_source, tmp_path / "out", on_bad_annotation="skip")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is empty"),
        ("id,name\n1,dog\n", "it is not JSON"),
        ("[]", "it is a JSON list, not a JSON object"),
        ('{"images": [', "it is JSON that is cut off"),
        ("{}", "it has no 'images'"),
        ('{"images": [], "annotations": []}', "it has no 'categories'"),
        ('{"images": {}, "annotations": [], "categories": []}', "'images' is not a list"),
        ('{"images": [], "annotations": [], "categories": []}', "contains no images"),
        ('{"images": [{"id": null, "file_name": "a.jpg"}]}', "entry 0 of 'images' has no 'id' or no 'file_name'"),
        ('{"images": [{"id": 1}]}', "entry 0 of 'images' has no 'id' or no 'file_name'"),
        ('{"categories": [{"id": 1}]}', "entry 0 of 'categories' has no"),
        ('{"categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}', "two categories have the id 1"),
        ('{"categories": [{"id": 1, "name": "a\\udcff"}]}', "category 1 contains half a surrogate pair"),
    ],
)
def test_files_that_are_not_annotation_files(
    mnasnet: Any, coco_source: Path, tmp_path: Path, text: str, message: str
) -> None:
    annotations(coco_source).write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        prepare(coco_source, tmp_path / "out")
    result = mnasnet("prepare-coco", coco_source, tmp_path / "out")
    assert (result.code, result.out) == (2, "")
    assert result.err.strip().endswith(str(caught.value))
    assert len(result.lines) == 1, result.err
    assert not (tmp_path / "out").exists()


def test_unreadable_annotation_file(coco_source: Path, tmp_path: Path) -> None:
    annotations(coco_source).chmod(0)
    if os.access(annotations(coco_source), os.R_OK):
        pytest.skip("root reads everything")
    with pytest.raises(DataError, match=r"cannot read .*instances_train2017\.json: permission denied"):
        prepare(coco_source, tmp_path / "out")
