"""What a source is taken for, and what is said where it is unclear."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
from coco_cases import prepare
from drawn_coco_layouts import coco, coco_2017, cvat, json_beside_folders, label_studio, roboflow
from drawn_layouts import DATA_SET, WITHOUT_SPLITS, draw, save, save_images
from mended_cases import findings

from mnasnet_cli.errors import DataError

TRAIN = DATA_SET["train"]


def splits(result: dict[str, Any]) -> dict[str, int]:
    return {split: one["examples"] for split, one in result["splits"].items()}


def test_the_layout_is_one_line(mnasnet: Any, tmp_path: Path) -> None:
    roboflow(tmp_path / "set", DATA_SET)
    result = mnasnet("prepare-coco", tmp_path / "set", tmp_path / "out")
    assert result.code == 0, result.err
    assert result.lines[0] == (
        "COCO annotations from Roboflow: train in train/_annotations.coco.json, images in train;"
        " validation in valid/_annotations.coco.json, images in valid; test in test/_annotations.coco.json,"
        " images in test"
    )
    stored = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert stored["layout"] == result.lines[0]
    assert splits(stored) == {"train": 4, "validation": 2, "test": 1}


@pytest.mark.parametrize("name", ["dev", "Val", "VALID", "validation", "val_images"])
def test_names_of_splits(tmp_path: Path, name: str) -> None:
    save_images(tmp_path / "set" / "Training", TRAIN)
    save(tmp_path / "set" / "Training.json", coco(TRAIN))
    save_images(tmp_path / "set" / name, DATA_SET["validation"])
    save(tmp_path / "set" / f"{name}.json", coco(DATA_SET["validation"]))
    assert splits(prepare(tmp_path / "set", tmp_path / "out")) == {"train": 4, "validation": 2}


def test_the_same_file_names_in_both_splits(tmp_path: Path) -> None:
    """Each split has its own folder, whatever is in the other one."""
    source = json_beside_folders(tmp_path / "set", DATA_SET)
    for split, image in (("train", TRAIN[0]), ("val", DATA_SET["validation"][0]), ("test", DATA_SET["test"][0])):
        shutil.move(source / split / image.file_name, source / split / "1.png")
        content = json.loads((source / f"{split}.json").read_text())
        content["images"][0]["file_name"] = "1.png"
        save(source / f"{split}.json", content)
    assert splits(prepare(source, tmp_path / "out")) == {"train": 4, "validation": 2, "test": 1}


def test_the_source_comes_before_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "set"
    save_images(source / "images", TRAIN)
    save(source / "labels.json", coco(TRAIN))
    elsewhere = tmp_path / "elsewhere"
    save_images(elsewhere / "images", DATA_SET["validation"])
    save(elsewhere / "labels.json", coco(DATA_SET["validation"]))
    monkeypatch.chdir(elsewhere)
    flags = {"train_images": Path("images"), "train_annotations": Path("labels.json"), "val_fraction": 0}
    assert splits(prepare(source, tmp_path / "out", **flags)) == {"train": 4}
    shutil.rmtree(source / "images")
    (source / "labels.json").unlink()
    assert splits(prepare(source, tmp_path / "other", **flags)) == {"train": 2}


def test_flags_for_single_splits(tmp_path: Path) -> None:
    source = coco_2017(tmp_path / "set", DATA_SET)
    shutil.move(source / "test2017", source / "held out")
    save(source / "held_out.json", coco(DATA_SET["test"]))
    (source / "annotations" / "instances_test2017.json").unlink()
    flags = {"test_images": Path("held out"), "test_annotations": Path("held_out.json")}
    assert splits(prepare(source, tmp_path / "out", **flags)) == {"train": 4, "validation": 2, "test": 1}
    assert splits(prepare(source, tmp_path / "other", test_annotations=Path("held_out.json")))["test"] == 1
    with pytest.raises(DataError, match=r"no folder or zip nowhere \(--test-images\), neither in .*set nor here"):
        prepare(source, tmp_path / "third", test_images=Path("nowhere"))
    with pytest.raises(DataError, match=r"no file nowhere.json \(--val-annotations\), neither in .*set nor here"):
        prepare(source, tmp_path / "third", val_annotations=Path("nowhere.json"))
    save(source / "list.json", [])
    with pytest.raises(DataError, match=r"list.json is not a COCO annotation file: it is a JSON list"):
        prepare(source, tmp_path / "third", val_annotations=Path("list.json"))


def test_files_of_other_tasks_are_not_taken(tmp_path: Path) -> None:
    source = coco_2017(tmp_path / "set", DATA_SET)
    keypoints = coco(TRAIN)
    for one in keypoints["annotations"]:
        one["keypoints"] = [1, 2, 2]
    save(source / "annotations" / "person_keypoints_train2017.json", keypoints)
    panoptic = coco(TRAIN, annotations=[{"segments_info": [], "file_name": "1.png", "image_id": 1}])
    save(source / "annotations" / "panoptic_train2017.json", panoptic)
    save(source / "annotations" / "image_info_test2017.json", {"images": [], "categories": []})
    result = prepare(source, tmp_path / "out")
    assert splits(result) == {"train": 4, "validation": 2, "test": 1}
    assert "instances_train2017" in result["layout"]
    assert "keypoints" not in result["layout"]
    for path in (source / "annotations").glob("instances_*"):
        path.unlink()
    assert splits(prepare(source, tmp_path / "people", val_fraction=0)) == {"train": 4}  # keypoints have boxes, too


def test_annotation_files_that_are_not_read_are_named(tmp_path: Path) -> None:
    source = json_beside_folders(tmp_path / "set", DATA_SET)
    save(source / "everything.json", coco(WITHOUT_SPLITS["train"]))
    assert prepare(source, tmp_path / "out")["layout"].endswith("; not read: everything.json")


def test_several_files_for_a_split_are_an_error(tmp_path: Path) -> None:
    source = json_beside_folders(tmp_path / "set", DATA_SET)
    save(source / "more" / "train.json", coco(TRAIN))
    message = r"2 annotation files could be for train: more/train\.json, train\.json; name one with --train-annotations"
    with pytest.raises(DataError, match=message):
        prepare(source, tmp_path / "out")
    assert "train.json" in prepare(source, tmp_path / "out", train_annotations=Path("train.json"))["layout"]
    source = cvat(tmp_path / "cvat", WITHOUT_SPLITS)
    save(source / "annotations" / "instances_second.json", coco(TRAIN))
    with pytest.raises(DataError, match=r"instances_default\.json, annotations/instances_second\.json"):
        prepare(source, tmp_path / "third")


def test_a_split_without_annotations_is_an_error(tmp_path: Path) -> None:
    source = coco_2017(tmp_path / "set", DATA_SET)
    (source / "annotations" / "instances_test2017.json").unlink()
    assert "test" not in prepare(source, tmp_path / "out")["splits"]
    (source / "annotations" / "instances_val2017.json").unlink()
    with pytest.raises(DataError, match=r"no instances_val2017\.json .*val2017 with --val-annotations.*--val-fraction"):
        prepare(source, tmp_path / "other")
    assert splits(prepare(source, tmp_path / "other", val_fraction=0)) == {"train": 4}
    (source / "annotations" / "instances_train2017.json").unlink()
    with pytest.raises(
        DataError, match=r"no annotations in .*set: .*captions_train2017\.json holds captions, not boxes"
    ):
        prepare(source, tmp_path / "third")


def test_a_damaged_file_of_a_split_is_not_left_out(tmp_path: Path) -> None:
    source = json_beside_folders(tmp_path / "set", DATA_SET)
    (source / "train.json").write_text('{"images": [{"id"')
    with pytest.raises(DataError, match=r"train\.json is not a COCO annotation file: it is JSON that is cut off"):
        prepare(source, tmp_path / "out")


def test_a_damaged_file_in_a_zip_is_named(tmp_path: Path) -> None:
    source = Path(shutil.make_archive(str(tmp_path / "set"), "zip", json_beside_folders(tmp_path / "set", DATA_SET)))
    data = bytearray(source.read_bytes())
    start = data.index(b"train.json") + len("train.json")
    data[start : start + 40] = b"\xff" * 40
    source.write_bytes(data)
    with pytest.raises(DataError, match=r"cannot read .*train\.json: the zip is damaged"):
        prepare(source, tmp_path / "out")


def test_other_json_files_are_named(tmp_path: Path) -> None:
    save_images(tmp_path / "set" / "images", TRAIN)
    save(tmp_path / "set" / "settings.json", {"colour": "red"})
    save(tmp_path / "set" / "labels.json", [1, 2])
    with pytest.raises(DataError) as caught:
        prepare(tmp_path / "set", tmp_path / "out")
    assert "labels.json is a JSON list, not a JSON object, settings.json has no 'images'" in str(caught.value)
    assert "COCO, YOLO, Pascal VOC" in str(caught.value)


def test_class_folders_are_for_the_other_command(tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        save_images(tmp_path / "set" / "train" / name, TRAIN)
    with pytest.raises(DataError, match=r"if each folder is a class, use `mnasnet prepare-imagenet .*set OUT`"):
        prepare(tmp_path / "set", tmp_path / "out")


def test_sources_that_are_no_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^no folder .*nowhere"):
        prepare(tmp_path / "nowhere", tmp_path / "out")
    save_images(tmp_path / "set", TRAIN)
    save(tmp_path / "set" / "labels.json", coco(TRAIN))
    with pytest.raises(DataError, match=r"labels\.json is a file; give its folder, .*--train-annotations labels\.json"):
        prepare(tmp_path / "set" / "labels.json", tmp_path / "out")
    (tmp_path / "packed").mkdir()
    shutil.make_archive(str(tmp_path / "packed" / "export"), "zip", tmp_path / "set")
    with pytest.raises(DataError, match=r"if export\.zip is the data set, give it as SOURCE"):
        prepare(tmp_path / "packed", tmp_path / "out")


def test_file_names_are_said_once_for_each_kind(tmp_path: Path) -> None:
    source = label_studio(tmp_path / "set", WITHOUT_SPLITS)
    found = prepare(source, tmp_path / "out")["findings"]
    [finding] = [one for one in found if one["code"] == "file-name-backslash"]
    assert finding["count"] == 7
    assert finding["example"].startswith("images\\")


def test_missing_images_are_counted_first(tmp_path: Path) -> None:
    source = coco_2017(tmp_path / "set", DATA_SET)
    for image in TRAIN[:3]:
        (source / "train2017" / image.file_name).unlink()
    message = r"^3 of 4 train images are missing in .*train2017, for example a 1\.png, b\.png, c\.png; .*--train-images"
    with pytest.raises(DataError, match=message):
        prepare(source, tmp_path / "out")
    result = prepare(source, tmp_path / "out", on_bad_image="skip")
    assert splits(result)["train"] == 1
    assert findings(result) == {"missing-image": 3}
    assert len(result["bad_files"]) == 3


def test_a_picture_of_the_other_split_is_not_taken_for_a_missing_one(tmp_path: Path) -> None:
    save_images(tmp_path / "set" / "images" / "val", DATA_SET["validation"])
    save_images(tmp_path / "set" / "images", TRAIN[1:])
    (tmp_path / "set" / "images" / "val" / TRAIN[0].file_name).write_bytes(draw(TRAIN[0]))
    save(tmp_path / "set" / "train.json", coco(TRAIN))
    save(tmp_path / "set" / "val.json", coco(DATA_SET["validation"]))
    with pytest.raises(DataError, match=r"^1 of 4 train images is missing"):
        prepare(tmp_path / "set", tmp_path / "out")


def test_a_zip_of_images_alone_is_one_line(mnasnet: Any, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("1.jpg", b"an image")
    alone = mnasnet("prepare-coco", tmp_path / "photos.zip", tmp_path / "out")
    assert (alone.code, len(alone.lines)) == (2, 1)
    assert f"no annotations in {tmp_path / 'photos.zip'}" in alone.err
    assert "give it as SOURCE" not in alone.err
    assert "photos.zip is the data set, give it as SOURCE" in mnasnet("prepare-coco", tmp_path, tmp_path / "out").err
