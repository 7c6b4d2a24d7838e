"""What looks wrong in annotation files is said with its count and an example, and stands in dataset.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from coco_cases import change, prepare
from drawn_coco_layouts import coco, coco_2017, roboflow
from drawn_layouts import CLASSES, DATA_SET, save
from mended_cases import Content, boxes, findings, in_annotations, prepare_train, write

from mnasnet_cli.errors import DataError


def found(tmp_path: Path, edit: Any, code: str, **options: Any) -> dict[str, Any]:
    """Return the finding with a code, after an edit of the annotation file."""
    result = prepare_train(write(tmp_path / "source", edit), tmp_path / "out", **options)
    [one] = [one for one in result["findings"] if one["code"] == code]
    assert one["severity"] == "suspicious"
    assert json.loads((tmp_path / "out" / "dataset.json").read_text())["findings"] == result["findings"]
    return one


def test_fractions(tmp_path: Path) -> None:
    def to_fractions(content: Content) -> None:
        sizes = {one["id"]: (one["width"], one["height"]) for one in content["images"]}
        for one in content["annotations"]:
            one["bbox"] = [side / size for side, size in zip(one["bbox"], sizes[one["image_id"]] * 2, strict=True)]

    one = found(tmp_path, to_fractions, "boxes-of-one-px")
    assert (one["count"], one["split"]) == (5, "train")
    assert "multiply" in one["advice"]


def test_corners(tmp_path: Path) -> None:
    def to_corners(content: Content) -> None:
        for one in content["annotations"]:
            x, y, width, height = one["bbox"]
            one["bbox"] = [x, y, x + width, y + height]

    def enlarge(content: Content) -> None:
        for one in content["annotations"]:
            one["bbox"] = [3, 3, 500, 500]

    one = found(tmp_path, to_corners, "boxes-overshoot")
    assert one["count"] == 3
    assert one["message"] == "of 5 boxes reach beyond their images"
    assert "two corners" in one["advice"]
    assert one["example"].endswith("(annotation 2 of image 1)")
    assert "two corners" not in found(tmp_path / "other", enlarge, "boxes-overshoot")["advice"]


def test_boxes_that_are_there_twice_under_other_ids(tmp_path: Path) -> None:
    one = found(
        tmp_path, lambda content: content["annotations"].append(content["annotations"][0] | {"id": 50}), "repeated-box"
    )
    assert one["count"] == 1
    assert "annotation 50 of image 1" in one["example"]


def test_two_classes_with_one_name(tmp_path: Path) -> None:
    one = found(tmp_path, lambda content: content["categories"][2].update(name="Apple"), "same-class-name")
    assert (one["count"], one["example"]) == (1, "'apple' (1) and 'Apple' (3)")


def test_only_crowds_are_a_warning(mnasnet: Any, tmp_path: Path) -> None:
    source = write(tmp_path / "source", lambda content: [one.update(iscrowd=1) for one in content["annotations"]])
    result = mnasnet("prepare-coco", source, tmp_path / "out", "--val-fraction", 0)
    assert result.code == 0, result.err
    [line] = [line for line in result.err.splitlines() if line.startswith("warning: train: 5 ") and "crowd" in line]
    assert "--crowd-as-objects" in line
    result = mnasnet("prepare-coco", source, tmp_path / "other", "--val-fraction", 0, "--crowd-as-objects")
    assert result.code == 0
    assert "iscrowd" not in result.err


def test_the_root_category_of_roboflow_is_dropped(tmp_path: Path) -> None:
    result = prepare(roboflow(tmp_path / "set", DATA_SET), tmp_path / "out")
    assert [one["name"] for one in result["categories"]] == list(CLASSES)
    [one] = [one for one in result["findings"] if one["code"] == "root-category"]
    assert (one["count"], one["example"]) == (1, "pets")
    change_root = {"id": 0, "name": "pets", "supercategory": "none"}
    content = coco(DATA_SET["train"])
    content["categories"] = [change_root, *({**one, "supercategory": "pets"} for one in content["categories"])]
    content["annotations"][0]["category_id"] = 0  # it has a box, so it stays
    save(tmp_path / "set" / "train" / "_annotations.coco.json", content)
    assert prepare(tmp_path / "set", tmp_path / "other")["classes"] == 4


def test_classes_without_boxes_stay(tmp_path: Path) -> None:
    source = write(tmp_path / "source", lambda content: content["categories"].append({"id": 9, "name": "fig"}))
    assert prepare_train(source, tmp_path / "out")["classes"] == 4


def test_class_names_that_differ_between_splits(tmp_path: Path) -> None:
    source = coco_2017(tmp_path / "set", DATA_SET)
    change(source, lambda content: content["categories"][1].update(name="Pear  Tree"), "val")
    result = prepare(source, tmp_path / "out")
    assert findings(result) == {"class-name-spelling": 1}
    assert in_annotations(result)[0]["example"] == "'Pear Tree' and 'pear tree'"
    assert [one["name"] for one in result["categories"]] == list(CLASSES)
    with pytest.raises(DataError, match=r"^--strict: validation: 1 class name"):
        prepare(source, tmp_path / "strict", strict=True)


def test_category_ids_that_differ_between_splits(tmp_path: Path) -> None:
    source = coco_2017(tmp_path / "set", DATA_SET)
    prepare(source, tmp_path / "expected")

    def from_zero(content: Content) -> None:
        for one in content["categories"]:
            one["id"] -= 1
        for one in content["annotations"]:
            one["category_id"] -= 1

    change(source, from_zero, "val")
    result = prepare(source, tmp_path / "out")
    assert findings(result) == {"category-ids-differ": 3}
    for split in ("train", "validation"):
        assert boxes(tmp_path / "out", split) == boxes(tmp_path / "expected", split)
