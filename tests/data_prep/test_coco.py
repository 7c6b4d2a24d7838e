"""From a COCO-style source to records: every box with its class, odd entries named, nothing left where that fails."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_prep import coco_boxes
from data_prep.coco import CocoOptions, prepare_coco
from data_prep.job import BadImageError
from data_prep.shapes import write_shapes_coco
from mnasnet_cli.data import schema
from mnasnet_cli.errors import ConfigError, DataError

SMALL = CocoOptions(train_shards=3, val_shards=2, workers=1)  # starting one takes a second where TensorFlow is loaded
SIDES = [f"image/object/bbox/{side}" for side in ("ymin", "xmin", "ymax", "xmax")]
Content = dict[str, Any]


def prepare(source: Path, out: Path, **options: Any) -> dict[str, Any]:
    return prepare_coco(source, out, dataclasses.replace(SMALL, **options))


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("coco")
    write_shapes_coco(root, train=20, val=4, size=48, classes=3)
    return root


@pytest.fixture(scope="module")
def reference(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reference") / "records"
    prepare(pristine, out)
    return out


@pytest.fixture
def source(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "source"))


def annotations(source: Path, split: str = "train") -> Path:
    return source / "annotations" / f"instances_{split}2017.json"


def change(source: Path, edit: Callable[[Content], object], split: str = "train") -> None:
    """Edit an annotation file's content in place."""
    content = json.loads(annotations(source, split).read_text())
    edit(content)
    annotations(source, split).write_text(json.dumps(content))


def examples(out: Path, split: str = "train") -> dict[int, dict[str, Any]]:
    """Return the records by image id."""
    rows = [
        schema.decode_example(data) for path in schema.find_shards(out, split) for data in schema.read_records(path)
    ]
    found = {int(row["image/source_id"][0]): row for row in rows}
    assert len(found) == len(rows)
    return found


def test_records_hold_every_image_and_box_once(pristine: Path, reference: Path) -> None:
    info = schema.load_dataset_info(reference, "coco")
    assert (info.classes, info.category_ids, info.texts) == (3, (1, 4, 7), ("circle", "square", "triangle"))
    assert (reference / "labels.txt").read_text() == "1\tcircle\n4\tsquare\n7\ttriangle\n"
    assert info.splits["train"].shard_examples == (6, 7, 7)
    content = json.loads(annotations(pristine).read_text())
    found = examples(reference)
    for image in content["images"]:
        row = found.pop(image["id"])
        boxes = [one for one in content["annotations"] if one["image_id"] == image["id"]]
        assert row["image/encoded"][0] == (pristine / "train2017" / image["file_name"]).read_bytes()
        assert row["image/filename"] == [image["file_name"].encode()]
        assert (row["image/width"], row["image/height"]) == ([image["width"]], [image["height"]])
        assert [info.category_ids[label - 1] for label in row["image/object/class/label"]] == [
            one["category_id"] for one in boxes
        ]
        assert [info.texts[label - 1].encode() for label in row["image/object/class/label"]] == row[
            "image/object/class/text"
        ]
        assert row["image/object/is_crowd"] == [one["iscrowd"] for one in boxes]
        assert row["image/object/area"] == pytest.approx([one["area"] for one in boxes])
        width, height = image["width"], image["height"]
        for place, one in enumerate(boxes):
            left, top, wide, high = one["bbox"]
            expected = [top / height, left / width, (top + high) / height, (left + wide) / width]
            assert [row[side][place] for side in SIDES] == pytest.approx(expected, abs=1e-7)
    assert not found
    objects = info.splits["train"].objects
    assert objects["boxes"] == len(content["annotations"]) == sum(info.splits["train"].per_class.values())
    assert objects["crowds"] == sum(one["iscrowd"] for one in content["annotations"]) > 0
    assert objects["images_without_boxes"] == 2
    assert objects["clipped"] == 0
    assert objects["boxes_per_image"]["min"] == 0


def test_same_records_whatever_the_way(pristine: Path, reference: Path, source: Path, tmp_path: Path) -> None:
    prepare(pristine, tmp_path / "two", workers=2)
    assert contents(tmp_path / "two") == contents(reference)
    zips = tmp_path / "zips"
    zips.mkdir()
    for name, packing in (("train2017", zipfile.ZIP_STORED), ("val2017", zipfile.ZIP_DEFLATED)):
        with zipfile.ZipFile(zips / f"{name}.zip", "w", packing) as archive:
            archive.writestr(f"{name}/", "")
            for path in sorted((pristine / name).iterdir(), reverse=True):
                archive.write(path, f"{name}/{path.name}")
    with zipfile.ZipFile(zips / "annotations_trainval2017.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for split in ("train", "val"):
            archive.write(annotations(pristine, split), f"annotations/instances_{split}2017.json")
            archive.writestr(f"annotations/captions_{split}2017.json", "{}")
    prepare(zips, tmp_path / "zipped")
    assert contents(tmp_path / "zipped") == contents(reference)
    for split in ("train", "val"):  # the order of the entries makes no difference, but for boxes within an image
        change(source, lambda content: content["images"].reverse(), split)
        change(source, lambda content: content["categories"].reverse(), split)
    prepare(source, tmp_path / "reversed")
    assert contents(tmp_path / "reversed") == contents(reference)
    shared = tmp_path / "parts"
    assert prepare(pristine, shared, part=(2, 2))["missing_parts"] == ["1/2"]
    prepare(pristine, shared, part=(1, 2))
    assert {name: data for name, data in contents(shared).items() if name != "dataset.json"} == {
        name: data for name, data in contents(reference).items() if name != "dataset.json"
    }


def test_damaged_zips_are_named(pristine: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(pristine / "annotations", tmp_path / "source" / "annotations")).parent
    images = sorted((pristine / "train2017").iterdir())
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


def test_other_names_by_flag(pristine: Path, reference: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "photos").mkdir(parents=True)
    for path in pristine.glob("*2017/*.jpg"):
        shutil.copy(path, source / "photos")
    shutil.copy(annotations(pristine), source / "a.json")
    shutil.copy(annotations(pristine, "val"), tmp_path / "b.json")
    (source / "photos" / "notes.txt").write_text("no image of the data set")
    with pytest.raises(DataError, match=r"no images in .*--train-images"):
        prepare(source, tmp_path / "out")
    with pytest.raises(DataError, match=r"--train-annotations has no images beside it .*--train-images"):
        prepare(source, tmp_path / "out", train_annotations=Path("a.json"))
    photos = {"train_images": Path("photos"), "val_images": source / "photos"}
    with pytest.raises(DataError, match=r"no instances_photos\.json in .*--train-annotations"):
        prepare(source, tmp_path / "out", **photos)
    files = {"train_annotations": Path("a.json"), "val_annotations": tmp_path / "b.json"}
    result = prepare(source, tmp_path / "out", **photos, **files)
    assert contents(tmp_path / "out") == contents(reference)
    assert result["ignored_files"] == 1  # images of the other split are no foreign files


def test_one_split_is_enough(source: Path, tmp_path: Path) -> None:
    shutil.rmtree(source / "val2017")
    assert list(prepare(source, tmp_path / "out")["splits"]) == ["train"]
    annotations(source).unlink()
    with pytest.raises(DataError, match=r"no instances_train2017\.json in .*annotation file of train2017"):
        prepare(source, tmp_path / "other")


def test_one_image_with_one_and_with_200_boxes_and_with_none(source: Path, tmp_path: Path) -> None:
    def keep_one(content: Content, boxes: int) -> None:
        del content["images"][1:]
        one = {"image_id": content["images"][0]["id"], "bbox": [1, 2, 3.5, 4], "category_id": 4}  # no area, no iscrowd
        content["annotations"] = [one | {"id": number} for number in range(boxes)]

    shutil.rmtree(source / "val2017")
    for boxes in (1, 200, 0):
        change(source, lambda content, boxes=boxes: keep_one(content, boxes))
        result = prepare(source, tmp_path / f"out{boxes}")
        assert result["splits"]["train"]["objects"]["boxes_per_image"] == {"min": boxes, "mean": boxes, "max": boxes}
        [row] = examples(tmp_path / f"out{boxes}").values()
        assert row["image/object/class/label"] == [2] * boxes
        assert row["image/object/area"] == [14.0] * boxes
        assert row["image/object/is_crowd"] == [0] * boxes
        assert result["ignored_files"] == 19


def test_boxes_that_overshoot_are_clipped(source: Path, tmp_path: Path) -> None:
    def overshoot(content: Content) -> None:
        image = content["images"][0]
        own = [one for one in content["annotations"] if one["image_id"] == image["id"]]
        own[0] |= {"bbox": [-5, -7, 1000, 17], "area": None}
        content["annotations"] = own[:1]

    change(source, overshoot)
    result = prepare(source, tmp_path / "out")
    assert result["splits"]["train"]["objects"]["clipped"] == 1
    row = examples(tmp_path / "out")[1]
    height, width = row["image/height"][0], row["image/width"][0]
    assert [row[side][0] for side in SIDES] == pytest.approx([0, 0, 10 / height, 1])
    assert row["image/object/area"][0] == 10 * width  # of what is left


FAULTS = {
    "no area": (lambda one: one["bbox"].__setitem__(2, 0), coco_boxes.NO_BOX_AREA),
    "negative": (lambda one: one["bbox"].__setitem__(3, -4), coco_boxes.NO_BOX_AREA),
    "outside": (lambda one: one.update(bbox=[5000, 10, 5, 5]), coco_boxes.OUTSIDE),
    "left of it": (lambda one: one.update(bbox=[-10, 10, 10, 5]), coco_boxes.OUTSIDE),
    "category": (lambda one: one.update(category_id=2), coco_boxes.UNKNOWN_CATEGORY),
    "image": (lambda one: one.update(image_id=999), coco_boxes.UNKNOWN_IMAGE),
    "duplicate": (lambda one: one.update(id=1), coco_boxes.DUPLICATE),
    "not finite": (lambda one: one["bbox"].__setitem__(0, float("nan")), "its 'bbox' is not four finite numbers"),
    "no box": (lambda one: one.pop("bbox"), "its 'bbox' is not four finite numbers"),
    "no id": (lambda one: one.pop("image_id"), "it lacks a whole number 'id', 'image_id' or 'category_id'"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faulty_annotations_are_refused_or_left_out(source: Path, tmp_path: Path, name: str) -> None:
    spoil, reason = FAULTS[name]
    before = json.loads(annotations(source).read_text())["annotations"]
    change(source, lambda content: spoil(content["annotations"][2]))
    with pytest.raises(DataError) as caught:
        prepare(source, tmp_path / "out")
    assert f"has 1 entry that can't be used (1: {reason}), the first is annotation " in str(caught.value)
    assert "--on-bad-annotation skip" in str(caught.value)
    assert not (tmp_path / "out").exists()
    result = prepare(source, tmp_path / "out", on_bad_annotation="skip")
    [bad] = result["bad_annotations"]
    assert (bad["split"], bad["reason"]) == ("train", reason)
    assert result["splits"]["train"]["objects"]["boxes"] == len(before) - 1
    assert result["splits"]["train"]["examples"] == 20  # the images stay
    assert json.loads((tmp_path / "out" / "dataset.json").read_text())["bad_annotations"] == [bad]


def test_duplicate_images(source: Path, tmp_path: Path) -> None:
    change(source, lambda content: content["images"].append(content["images"][3] | {"file_name": "x.jpg"}))
    with pytest.raises(DataError, match=r"\(1: its image id occurs twice\), the first is image 4;"):
        prepare(source, tmp_path / "out")
    result = prepare(source, tmp_path / "out", on_bad_annotation="skip")
    assert result["bad_annotations"] == [{"split": "train", "image": 4, "reason": "its image id occurs twice"}]
    assert result["splits"]["train"]["examples"] == 20


def test_nothing_but_faults(source: Path, tmp_path: Path) -> None:
    change(source, lambda content: [one.update(category_id=one["category_id"] + 1) for one in content["annotations"]])
    with pytest.raises(DataError, match=r"not one of its annotations can be used .*its category is not in the file"):
        prepare(source, tmp_path / "out", on_bad_annotation="skip")
    assert not (tmp_path / "out").exists()


def test_images_that_do_not_fit(source: Path, tmp_path: Path) -> None:
    def spoil(content: Content) -> None:
        one, other, third = content["images"][:3]
        one["width"], one["height"] = one["height"], one["width"]
        other["width"] += 1
        third["file_name"] = "nowhere.jpg"

    change(source, spoil)
    with pytest.raises(BadImageError, match="--on-bad-image skip"):
        prepare(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    reasons = {
        bad["file"]: bad["reason"] for bad in prepare(source, tmp_path / "out", on_bad_image="skip")["bad_files"]
    }
    assert "turned as its EXIF says?" in reasons["train2017/000000000001.jpg"]
    assert "so its boxes don't fit" in reasons["train2017/000000000002.jpg"]
    assert reasons["train2017/nowhere.jpg"] == "cannot be read: no such file or directory"
    change(source, lambda content: content["images"][0].update(file_name="../../x.jpg"))
    with pytest.raises(DataError, match="leads out of"):
        prepare(source, tmp_path / "other")


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
    ],
)
def test_what_is_no_annotation_file(mnasnet: Any, source: Path, tmp_path: Path, text: str, message: str) -> None:
    annotations(source).write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        prepare(source, tmp_path / "out")
    result = mnasnet("prepare-coco", source, tmp_path / "out")
    assert (result.code, result.out) == (2, "")
    assert result.err.strip().endswith(str(caught.value))
    assert len(result.err.strip().splitlines()) == 1, result.err
    assert not (tmp_path / "out").exists()


def test_categories_of_both_files(source: Path, tmp_path: Path) -> None:
    change(source, lambda content: content["categories"].append({"id": 2, "name": "heart"}), "val")
    assert prepare(source, tmp_path / "out")["classes"] == 4
    assert schema.load_dataset_info(tmp_path / "out").category_ids == (1, 2, 4, 7)
    change(source, lambda content: content["categories"][0].update(name="disc"), "val")
    with pytest.raises(DataError, match=r"category 1 is 'disc' in .*val2017\.json, but 'circle' in .*train2017\.json"):
        prepare(source, tmp_path / "other")


def test_images_in_both_splits_are_counted(reference: Path, source: Path, tmp_path: Path) -> None:
    assert schema.load_dataset_info(reference).images_in_both_splits == 0
    shutil.rmtree(source / "val2017")
    shutil.copytree(source / "train2017", source / "val2017")
    shutil.copy(annotations(source), annotations(source, "val"))
    prepare(source, tmp_path / "out")
    assert schema.load_dataset_info(tmp_path / "out").images_in_both_splits == 20


def test_resume(source: Path, reference: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(reference, tmp_path / "out"))
    (out / "train-00001-of-00003").unlink()
    assert prepare(source, out, resume=True)["kept_shards"] == 4
    assert contents(out) == contents(reference)
    change(source, lambda content: content["annotations"][0].update(iscrowd=1))
    with pytest.raises(DataError, match="train annotations differs"):
        prepare(source, out, resume=True)
    change(source, lambda content: content["categories"][0].update(name="disc"))
    change(source, lambda content: content["categories"][0].update(name="disc"), "val")
    with pytest.raises(DataError, match="categories differs"):
        prepare(source, out, resume=True)
    assert contents(out) == contents(reference)


def test_command_line(mnasnet: Any, source: Path, tmp_path: Path) -> None:
    change(source, lambda content: content["annotations"][2]["bbox"].__setitem__(2, 0))
    arguments = ["prepare-coco", source, tmp_path / "out", "--train-shards", 2, "--val-shards", 1]
    refused = mnasnet(*arguments)
    assert (refused.code, len(refused.err.strip().splitlines())) == (2, 1), refused.err
    result = mnasnet(*arguments, "--on-bad-annotation", "skip", "--json")
    assert result.code == 0, result.err
    assert result.json["kind"] == "coco"
    assert result.json["categories"][1] == {"label": 2, "id": 4, "name": "square"}
    assert len(result.json["bad_annotations"]) == 1
    result = mnasnet(*arguments, "--on-bad-annotation", "skip", "--resume")
    assert result.code == 0, result.err
    assert "1 train annotations left out: its box has no area" in result.err
    assert "images without" in result.out
    with pytest.raises(ConfigError, match="--on-bad-annotation is fail or skip"):
        CocoOptions(on_bad_annotation="ignore")


def test_unreadable_annotation_file(source: Path, tmp_path: Path) -> None:
    annotations(source).chmod(0)
    if os.access(annotations(source), os.R_OK):
        pytest.skip("root reads everything")
    with pytest.raises(DataError, match=r"cannot read .*instances_train2017\.json: permission denied"):
        prepare(source, tmp_path / "out")
