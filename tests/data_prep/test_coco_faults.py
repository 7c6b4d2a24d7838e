"""Faults of a COCO-style source: odd entries and images are named, and nothing is left where a run fails."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
from coco_cases import Content, annotations, change, prepare

from data_prep import coco_annotations
from data_prep.shard_job import BadImageError
from mnasnet_cli.errors import DataError

FAULTS = {
    "no area": (lambda one: one["bbox"].__setitem__(2, 0), coco_annotations.NO_BOX_AREA),
    "negative": (lambda one: one["bbox"].__setitem__(3, -4), coco_annotations.NO_BOX_AREA),
    "outside": (lambda one: one.update(bbox=[5000, 10, 5, 5]), coco_annotations.OUTSIDE),
    "left of it": (lambda one: one.update(bbox=[-10, 10, 10, 5]), coco_annotations.OUTSIDE),
    "category": (lambda one: one.update(category_id=2), coco_annotations.UNKNOWN_CATEGORY),
    "image": (lambda one: one.update(image_id=999), coco_annotations.UNKNOWN_IMAGE),
    "duplicate": (lambda one: one.update(id=1), coco_annotations.DUPLICATE),
    "not finite": (lambda one: one["bbox"].__setitem__(0, float("nan")), "its 'bbox' is not four finite numbers"),
    "no box": (lambda one: one.pop("bbox"), "its 'bbox' is not four finite numbers"),
    "no id": (lambda one: one.pop("image_id"), "it lacks a whole number 'id', 'image_id' or 'category_id'"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faulty_annotations_are_refused_or_left_out(coco_source: Path, tmp_path: Path, name: str) -> None:
    spoil, reason = FAULTS[name]
    before = json.loads(annotations(coco_source).read_text())["annotations"]
    change(coco_source, lambda content: spoil(content["annotations"][2]))
    with pytest.raises(DataError) as caught:
        prepare(coco_source, tmp_path / "out")
    assert f"has 1 entry that can't be used (1: {reason}), the first is annotation " in str(caught.value)
    assert "--on-bad-annotation skip" in str(caught.value)
    assert not (tmp_path / "out").exists()
    result = prepare(coco_source, tmp_path / "out", on_bad_annotation="skip")
    [bad] = result["bad_annotations"]
    assert (bad["split"], bad["reason"]) == ("train", reason)
    assert result["splits"]["train"]["objects"]["boxes"] == len(before) - 1
    assert result["splits"]["train"]["examples"] == 20  # the images stay
    assert json.loads((tmp_path / "out" / "dataset.json").read_text())["bad_annotations"] == [bad]


def test_duplicate_images(coco_source: Path, tmp_path: Path) -> None:
    change(coco_source, lambda content: content["images"].append(content["images"][3] | {"file_name": "x.jpg"}))
    with pytest.raises(DataError, match=r"\(1: its image id occurs twice\), the first is image 4;"):
        prepare(coco_source, tmp_path / "out")
    result = prepare(coco_source, tmp_path / "out", on_bad_annotation="skip")
    assert result["bad_annotations"] == [{"split": "train", "image": 4, "reason": "its image id occurs twice"}]
    assert result["splits"]["train"]["examples"] == 20


def test_nothing_but_faults(coco_source: Path, tmp_path: Path) -> None:
    change(
        coco_source, lambda content: [one.update(category_id=one["category_id"] + 1) for one in content["annotations"]]
    )
    with pytest.raises(DataError, match=r"not one of its annotations can be used .*its category is not in the file"):
        prepare(coco_source, tmp_path / "out", on_bad_annotation="skip")
    assert not (tmp_path / "out").exists()


def test_images_that_do_not_fit(coco_source: Path, tmp_path: Path) -> None:
    def spoil(content: Content) -> None:
        one, other, third = content["images"][:3]
        one["width"], one["height"] = one["height"], one["width"]
        other["width"] += 1
        third["file_name"] = "nowhere.jpg"

    change(coco_source, spoil)
    with pytest.raises(BadImageError, match="--on-bad-image skip"):
        prepare(coco_source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    reasons = {
        bad["file"]: bad["reason"] for bad in prepare(coco_source, tmp_path / "out", on_bad_image="skip")["bad_files"]
    }
    assert "turned as its EXIF says?" in reasons["train2017/000000000001.jpg"]
    assert "so its boxes don't fit" in reasons["train2017/000000000002.jpg"]
    assert reasons["train2017/nowhere.jpg"] == "cannot be read: no such file or directory"
    change(coco_source, lambda content: content["images"][0].update(file_name="../../x.jpg"))
    with pytest.raises(DataError, match="leads out of"):
        prepare(coco_source, tmp_path / "other")


def test_damaged_zips_are_named(pristine_coco: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(pristine_coco / "annotations", tmp_path / "source" / "annotations")).parent
    images = sorted((pristine_coco / "train2017").iterdir())
    with zipfile.ZipFile(source / "train2017.zip", "w") as archive:
        for path in images[1:]:
            archive.write(path, path.name)
    with pytest.raises(BadImageError, match=rf"train2017\.zip/{images[0].name}: it isn't in the archive"):
        prepare(source, tmp_path / "out", workers=1)
    whole = bytearray((source / "train2017.zip").read_bytes())
    whole[100] ^= 255
    (source / "train2017.zip").write_bytes(whole)
    result = prepare(source, tmp_path / "out", on_bad_image="skip")
    assert [bad["reason"] for bad in sorted(result["bad_files"], key=lambda bad: bad["file"])] == [
        "it isn't in the archive",
        "it is damaged within the zip",
    ]
    (source / "train2017.zip").write_bytes(whole[:-30])
    with pytest.raises(DataError, match=r"train2017\.zip is not a whole zip"):
        prepare(source, tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is empty"),
        ("id,name\n1,dog\n", "it is not JSON"),
        ("[]", "it is a JSON list, not a JSON object"),
        ('{"images": [', "it is JSON that is cut off"),
        ("{}", "it has no 'images'"),
        ('{"images": [], "annotations": []}', "it has no 'categories'"),
        ('{"images": {}, "annotations": [], "categories": []}', "'images' is no list"),
        ('{"images": [], "annotations": [], "categories": []}', "lists no images"),
        ('{"images": [{"id": "a", "file_name": "a.jpg"}]}', "entry 0 of 'images' lacks a whole number 'id'"),
        ('{"images": [{"id": 1, "file_name": "a.jpg"}]}', r"image 1 \(a\.jpg\) lacks 'width' or 'height'"),
        ('{"categories": [{"id": 1}]}', "entry 0 of 'categories' lacks"),
        ('{"categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}', "two categories have the id 1"),
        ('{"categories": [{"id": 1, "name": "a\\udcff"}]}', "category 1 holds half a surrogate pair"),
    ],
)
def test_what_is_no_annotation_file(mnasnet: Any, coco_source: Path, tmp_path: Path, text: str, message: str) -> None:
    annotations(coco_source).write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        prepare(coco_source, tmp_path / "out")
    result = mnasnet("prepare-coco", coco_source, tmp_path / "out")
    assert (result.code, result.out) == (2, "")
    assert result.err.strip().endswith(str(caught.value))
    assert len(result.err.strip().splitlines()) == 1, result.err
    assert not (tmp_path / "out").exists()


def test_unreadable_annotation_file(coco_source: Path, tmp_path: Path) -> None:
    annotations(coco_source).chmod(0)
    if os.access(annotations(coco_source), os.R_OK):
        pytest.skip("root reads everything")
    with pytest.raises(DataError, match=r"cannot read .*instances_train2017\.json: permission denied"):
        prepare(coco_source, tmp_path / "out")
