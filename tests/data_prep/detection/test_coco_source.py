"""COCO-style sources: every box is in the records, and folders, zips and other names give the same records."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
from coco_cases import Content, annotations, change, examples, prepare
from folder_contents import contents

from data_prep.writing.shard_job import BadImageError
from mnasnet_cli.errors import DataError
from mnasnet_cli.records import dataset_info

SIDES = [f"image/object/bbox/{side}" for side in ("ymin", "xmin", "ymax", "xmax")]


def same_but_for_the_layout(out: Path, other: Path) -> bool:
    files, summaries = zip(*(_without_layout(folder) for folder in (out, other)), strict=True)
    return files[0] == files[1] and summaries[0] == summaries[1]


def _without_layout(folder: Path) -> tuple[dict[str, bytes], Content]:
    files = contents(folder)
    summary = json.loads(files.pop("dataset.json"))
    del summary["layout"]
    return files, summary


def test_records_hold_every_image_and_box_once(pristine_coco: Path, coco_records: Path) -> None:
    info = dataset_info.load_dataset_info(coco_records, "coco")
    assert (info.classes, info.category_ids, info.texts) == (3, (1, 4, 7), ("circle", "square", "triangle"))
    assert (coco_records / "labels.txt").read_text() == "1\tcircle\n4\tsquare\n7\ttriangle\n"
    assert info.splits["train"].shard_examples == (6, 7, 7)
    content = json.loads(annotations(pristine_coco).read_text())
    found = examples(coco_records)
    for image in content["images"]:
        row = found.pop(image["id"])
        boxes = [one for one in content["annotations"] if one["image_id"] == image["id"]]
        assert row["image/encoded"][0] == (pristine_coco / "train2017" / image["file_name"]).read_bytes()
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


def test_records_do_not_depend_on_workers_zips_order_and_parts(
    pristine_coco: Path, coco_records: Path, coco_source: Path, tmp_path: Path
) -> None:
    prepare(pristine_coco, tmp_path / "two", workers=2)
    assert contents(tmp_path / "two") == contents(coco_records)
    zips = tmp_path / "zips"
    zips.mkdir()
    for name, packing in (("train2017", zipfile.ZIP_STORED), ("val2017", zipfile.ZIP_DEFLATED)):
        with zipfile.ZipFile(zips / f"{name}.zip", "w", packing) as archive:
            archive.writestr(f"{name}/", "")
            for path in sorted((pristine_coco / name).iterdir(), reverse=True):
                archive.write(path, f"{name}/{path.name}")
    with zipfile.ZipFile(zips / "annotations_trainval2017.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for split in ("train", "val"):
            archive.write(annotations(pristine_coco, split), f"annotations/instances_{split}2017.json")
            archive.writestr(f"annotations/captions_{split}2017.json", "{}")
    prepare(zips, tmp_path / "zipped")
    assert same_but_for_the_layout(tmp_path / "zipped", coco_records)
    for split in ("train", "val"):  # only the order of the boxes of an image matters
        change(coco_source, lambda content: content["images"].reverse(), split)
        change(coco_source, lambda content: content["categories"].reverse(), split)
    prepare(coco_source, tmp_path / "reversed")
    assert contents(tmp_path / "reversed") == contents(coco_records)
    shared = tmp_path / "parts"
    assert prepare(pristine_coco, shared, part=(2, 2))["missing_parts"] == ["1/2"]
    prepare(pristine_coco, shared, part=(1, 2))
    assert {name: data for name, data in contents(shared).items() if name != "dataset.json"} == {
        name: data for name, data in contents(coco_records).items() if name != "dataset.json"
    }


def test_other_names_by_flag(pristine_coco: Path, coco_records: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "photos").mkdir(parents=True)
    for path in pristine_coco.glob("*2017/*.jpg"):
        shutil.copy(path, source / "photos")
    shutil.copy(annotations(pristine_coco), source / "a.json")
    shutil.copy(annotations(pristine_coco, "val"), tmp_path / "b.json")
    (source / "photos" / "notes.txt").write_text("no image of the data set")
    photos = {"train_images": Path("photos"), "val_images": source / "photos"}
    with pytest.raises(DataError, match=r"no instances_photos\.json in .*--train-annotations"):
        prepare(source, tmp_path / "out", **photos)
    files = {"train_annotations": Path("a.json"), "val_annotations": tmp_path / "b.json"}
    result = prepare(source, tmp_path / "out", **photos, **files)
    assert same_but_for_the_layout(tmp_path / "out", coco_records)
    assert result["ignored_files"] == 1  # images of the other split are not ignored files


def test_one_split_is_enough(coco_source: Path, tmp_path: Path) -> None:
    shutil.rmtree(coco_source / "val2017")
    assert list(prepare(coco_source, tmp_path / "out", val_fraction=0)["splits"]) == ["train"]
    annotations(coco_source).unlink()
    with pytest.raises(DataError, match=r"no instances_train2017\.json in .*annotation file of train2017"):
        prepare(coco_source, tmp_path / "other")


def test_one_image_with_one_and_with_200_boxes_and_with_none(coco_source: Path, tmp_path: Path) -> None:
    def keep_one(content: Content, boxes: int) -> None:
        del content["images"][1:]
        one = {"image_id": content["images"][0]["id"], "bbox": [1, 2, 3.5, 4], "category_id": 4}  # no area, no iscrowd
        content["annotations"] = [one | {"id": number} for number in range(boxes)]

    shutil.rmtree(coco_source / "val2017")
    for boxes in (1, 200, 0):
        change(coco_source, lambda content, boxes=boxes: keep_one(content, boxes))
        result = prepare(coco_source, tmp_path / f"out{boxes}")
        assert result["splits"]["train"]["objects"]["boxes_per_image"] == {"min": boxes, "mean": boxes, "max": boxes}
        [row] = examples(tmp_path / f"out{boxes}").values()
        assert row["image/object/class/label"] == [2] * boxes
        assert row["image/object/area"] == [14.0] * boxes
        assert row["image/object/is_crowd"] == [0] * boxes
        assert result["ignored_files"] == 19


def test_boxes_that_overshoot_are_clipped(coco_source: Path, tmp_path: Path) -> None:
    def overshoot(content: Content) -> None:
        image = content["images"][0]
        own = [one for one in content["annotations"] if one["image_id"] == image["id"]]
        own[0] |= {"bbox": [-5, -7, 1000, 17], "area": None}
        content["annotations"] = own[:1]

    change(coco_source, overshoot)
    result = prepare(coco_source, tmp_path / "out")
    assert result["splits"]["train"]["objects"]["clipped"] == 1
    row = examples(tmp_path / "out")[1]
    height, width = row["image/height"][0], row["image/width"][0]
    assert [row[side][0] for side in SIDES] == pytest.approx([0, 0, 10 / height, 1])
    assert row["image/object/area"][0] == 10 * width  # of the clipped box


def test_categories_of_both_files(coco_source: Path, tmp_path: Path) -> None:
    change(coco_source, lambda content: content["categories"].append({"id": 2, "name": "heart"}), "val")
    assert prepare(coco_source, tmp_path / "out")["classes"] == 4
    assert dataset_info.load_dataset_info(tmp_path / "out").category_ids == (1, 2, 4, 7)
    change(coco_source, lambda content: content["categories"][0].update(name="disc"), "val")
    with pytest.raises(DataError, match=r"category 1 is 'disc' in .*val2017\.json, but 'circle' in .*train2017\.json"):
        prepare(coco_source, tmp_path / "other")


def test_images_in_both_splits_are_counted(coco_records: Path, coco_source: Path, tmp_path: Path) -> None:
    assert dataset_info.load_dataset_info(coco_records).images_in_both_splits == 0
    shutil.rmtree(coco_source / "val2017")
    shutil.copytree(coco_source / "train2017", coco_source / "val2017")
    shutil.copy(annotations(coco_source), annotations(coco_source, "val"))
    prepare(coco_source, tmp_path / "out")
    assert dataset_info.load_dataset_info(tmp_path / "out").images_in_both_splits == 20


def test_resume(coco_source: Path, coco_records: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(coco_records, tmp_path / "out"))
    (out / "train-00001-of-00003").unlink()
    assert prepare(coco_source, out, resume=True)["kept_shards"] == 4
    assert contents(out) == contents(coco_records)
    change(coco_source, lambda content: content["annotations"][0].update(iscrowd=1))
    with pytest.raises(DataError, match="train annotations differs"):
        prepare(coco_source, out, resume=True)
    change(coco_source, lambda content: content["categories"][0].update(name="disc"))
    change(coco_source, lambda content: content["categories"][0].update(name="disc"), "val")
    with pytest.raises(DataError, match="categories differs"):
        prepare(coco_source, out, resume=True)
    assert contents(out) == contents(coco_records)


def test_command_line(mnasnet: Any, coco_source: Path, tmp_path: Path) -> None:
    change(coco_source, lambda content: content["annotations"][2]["bbox"].__setitem__(2, 0))
    arguments = ["prepare-coco", coco_source, tmp_path / "out", "--train-shards", 2, "--val-shards", 1]
    refused = mnasnet(*arguments)
    assert (refused.code, len(refused.lines)) == (2, 1), refused.err
    result = mnasnet(*arguments, "--on-bad-annotation", "skip", "--json")
    assert result.code == 0, result.err
    assert result.json["kind"] == "coco"
    assert result.json["categories"][1] == {"label": 2, "id": 4, "name": "square"}
    assert len(result.json["bad_annotations"]) == 1
    result = mnasnet(*arguments, "--on-bad-annotation", "skip", "--resume")
    assert result.code == 0, result.err
    assert "its box has no area" in result.err
    assert "images without" in result.out


def test_images_that_do_not_fit_their_annotations(coco_source: Path, tmp_path: Path) -> None:
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
    assert "EXIF" in reasons["train2017/000000000001.jpg"]
    assert "boxes do not fit" in reasons["train2017/000000000002.jpg"]
    assert reasons["train2017/nowhere.jpg"] == "cannot be read: no such file or directory"
    change(coco_source, lambda content: content["images"][0].update(file_name="../../x.jpg"))
    shutil.copy(coco_source / "train2017" / "000000000001.jpg", tmp_path / "x.jpg")
    with pytest.raises(BadImageError, match=r"2 of 20 train images are missing in .*x\.jpg"):  # never out of the source
        prepare(coco_source, tmp_path / "other")


def test_damaged_zips_are_named(pristine_coco: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(pristine_coco / "annotations", tmp_path / "source" / "annotations")).parent
    images = sorted((pristine_coco / "train2017").iterdir())
    with zipfile.ZipFile(source / "train2017.zip", "w") as archive:
        for path in images[1:]:
            archive.write(path, path.name)
    with pytest.raises(
        BadImageError, match=rf"1 of 20 train images is missing in .*train2017\.zip, for example {images[0].name}"
    ):
        prepare(source, tmp_path / "out", workers=1)
    whole = bytearray((source / "train2017.zip").read_bytes())
    whole[100] ^= 255
    (source / "train2017.zip").write_bytes(whole)
    result = prepare(source, tmp_path / "out", on_bad_image="skip")
    assert [bad["reason"] for bad in sorted(result["bad_files"], key=lambda bad: bad["file"])] == [
        "it is not in the zip",
        "it is damaged within the zip",
    ]
    (source / "train2017.zip").write_bytes(whole[:-30])
    with pytest.raises(DataError, match=r"train2017\.zip is not a complete zip"):
        prepare(source, tmp_path / "other")
    assert not (tmp_path / "other").exists()
