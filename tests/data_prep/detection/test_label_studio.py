"""Label Studio's JSON: shapes in percent, addresses of images, and tasks that nobody has labelled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import drawn_layouts
import pytest
from drawn_layouts import DATA_SET, DrawnImage, label_studio_task, save, save_images

from data_prep.detection.annotations import AnnotationFile, read_annotations
from data_prep.detection.formats import label_studio
from data_prep.detection.formats.source_files import Catalog
from data_prep.detection.layout import Layout
from data_prep.files.tree import open_tree
from mnasnet_cli.errors import DataError

RECTANGLE = {"x": 1, "y": 4, "width": 30, "height": 80, "rotation": 0}
BOX = (1, 2, 30, 40)
# A mask of 3×2 px in which the pixels (1, 0) and (2, 1) are set: runs of the lengths 4, 4, 12 and 4 of single bytes.
BRUSH = "".join(
    ["00000000000000000000000000011000", "00111", "0011" * 4]
    + [f"1{0:02b}{length - 1:04b}{value:08b}" for length, value in ((4, 0), (4, 255), (12, 0), (4, 255))]
)


def recognised(root: Path) -> Layout:
    layout = label_studio.recognise(Catalog(open_tree(root)))
    assert layout is not None
    return layout


def read(root: Path, split: str = "train") -> AnnotationFile:
    images = recognised(root).splits[split]
    return read_annotations(images.read(), images.name)


def result(value: dict[str, Any], width: int = 100, height: int = 50, **more: Any) -> dict[str, Any]:
    return {"original_width": width, "original_height": height, "value": value, **more}


def one_task(root: Path, *results: Any, address: str = "/data/upload/1/one.png", **more: Any) -> Path:
    save_images(root / "images", [DrawnImage("one", 100, 50, ())])
    task = {"data": {"image": address}, "annotations": [{"result": list(results)}], **more}
    save(root / "export.json", [task])
    return root


def brush(bits: str) -> list[int]:
    padded = bits.ljust(-(-len(bits) // 8) * 8, "0")
    return [int(padded[start : start + 8], 2) for start in range(0, len(padded), 8)]


@pytest.mark.parametrize(
    ("value", "box"),
    [
        (RECTANGLE, BOX),
        ({"x": 50, "y": 20, "width": 10, "height": 40, "rotation": 90}, (30, 10, 20, 10)),
        ({"x": 50, "y": 50, "radiusX": 10, "radiusY": 10, "rotation": 0}, (40, 20, 20, 10)),
        ({"points": [[5, 4], [31, 18], [1, 84]], "closed": True}, BOX),
        ({"vertices": [{"x": 5, "y": 4}, {"x": 31, "y": 18}, {"x": 1, "y": 84}]}, BOX),
    ],
)
def test_shapes_are_in_percent(tmp_path: Path, value: dict[str, Any], box: tuple[float, ...]) -> None:
    file = read(one_task(tmp_path, result(value | {"anylabels": ["a"]}, image_rotation=90)))
    assert tuple(file.boxes) == pytest.approx(box)
    assert file.categories == {1: "a"}
    assert not file.faults


def test_brush_masks_have_boxes(tmp_path: Path) -> None:
    value = {"format": "rle", "rle": brush(BRUSH), "brushlabels": ["a"]}
    damaged = value | {"rle": brush(BRUSH)[:9]}
    file = read(one_task(tmp_path, result(value, 3, 2), result(damaged, 3, 2)))
    assert tuple(file.boxes) == (1, 0, 2, 2)
    assert "four finite numbers" in file.faults[0]["reason"]


def test_an_id_that_is_no_text_is_none(tmp_path: Path) -> None:
    one = result(RECTANGLE | {"rectanglelabels": ["a"]}, id=["1"])
    assert tuple(read(one_task(tmp_path, one)).boxes) == BOX


def test_shapes_and_labels_may_be_results_of_their_own(tmp_path: Path) -> None:
    choice = result({"choices": ["good"]}, id="2", type="choices")
    labels = result(RECTANGLE | {"labels": ["a"]}, id="1", type="labels")
    file = read(one_task(tmp_path, result(RECTANGLE, id="1", type="rectangle"), labels, choice, {"type": "relation"}))
    assert tuple(file.boxes) == BOX
    assert not file.faults


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"x": 1, "y": 2, "width": 0.5, "keypointlabels": ["a"]}, "no box"),
        (RECTANGLE, "no class"),
        (RECTANGLE | {"rectanglelabels": ["a", "b"]}, "several classes"),
        (RECTANGLE | {"rectanglelabels": ["a"], "x": None}, "four finite numbers"),
        (RECTANGLE | {"rectanglelabels": ["a"], "width": 0}, "no area"),
        ({"points": [[1], None], "polygonlabels": ["a"]}, "four finite numbers"),
        ({"points": 7, "polygonlabels": ["a"]}, "four finite numbers"),
        (RECTANGLE | {"rectanglelabels": ["a"], "rotation": "1e999"}, "four finite numbers"),
    ],
)
def test_other_results_are_faults_with_their_task(tmp_path: Path, value: dict[str, Any], reason: str) -> None:
    file = read(one_task(tmp_path, result(RECTANGLE | {"rectanglelabels": ["a"]}), result(value)))
    assert len(file.annotation_ids) == 1
    assert [reason in fault["reason"] for fault in file.faults] == [True]
    assert str(file.faults[0]) == f"annotation {tmp_path}/export.json, task 1, result 2 of image images/one.png"


@pytest.mark.parametrize(
    "address",
    [
        "/data/upload/1/1a2b3c4d-one.png",
        "/data/local-files/?d=my%20set/one.png",
        "s3://bucket/set/one.png",
        "https://x.org/one.png?X-Amz-Expires=9",
        "C:\\data\\one.png",
    ],
)
def test_images_are_found_by_their_addresses(tmp_path: Path, address: str) -> None:
    root = one_task(tmp_path, result(RECTANGLE | {"rectanglelabels": ["a"]}), address=address)
    assert read(root).image_names == ["images/one.png"]


def test_only_labelled_tasks_count_and_of_each_the_first_annotation(tmp_path: Path) -> None:
    first, second = DATA_SET["train"][:2]
    tasks = [label_studio_task(image, image.file_name) for image in DATA_SET["train"]]
    tasks[0]["annotations"].insert(0, {"was_cancelled": True, "result": []})
    tasks[0]["annotations"].append({"result": []})
    tasks[1]["annotations"], tasks[1]["predictions"] = [], tasks[1]["annotations"]
    save_images(tmp_path, DATA_SET["train"])
    save(tmp_path / "export.json", tasks)
    file = read(tmp_path)
    assert first.file_name in file.image_names
    assert second.file_name not in file.image_names
    assert len(file.annotation_ids) == len(first.objects) + 2
    assert [(one.code, one.count) for one in file.findings] == [("not-labelled", 1), ("several-annotations", 1)]


def test_json_min_has_the_same_boxes(tmp_path: Path) -> None:
    tasks: list[dict[str, Any]] = []
    for image in DATA_SET["train"]:
        (annotation,) = label_studio_task(image, "")["annotations"]
        listed = [one["value"] | {"original_width": image.width, "original_height": image.height}
                  for one in annotation["result"]]  # fmt: skip
        tasks.append({"image": f"/data/upload/{image.file_name}", "id": 1, "label": listed, "annotator": 1})
    save_images(tmp_path, DATA_SET["train"])
    save(tmp_path / "export.json", tasks)
    found = drawn_layouts.content(recognised(tmp_path))["train"]
    for image in DATA_SET["train"]:
        assert [one[0] for one in found[image.file_name][1]] == [one.name for one in image.objects]


def test_an_export_without_its_images_says_what_to_do(tmp_path: Path) -> None:
    root = one_task(tmp_path, result(RECTANGLE | {"rectanglelabels": ["a"]}), address="/data/upload/1/two.png")
    with pytest.raises(DataError, match=r"none of the 1 images .* without images; put them beside the file"):
        read(root)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"data": {},\n"annotations": [}]', r"export\.json is not valid JSON: .* in line 2"),
        ('[{"data": {}, "annotations": []}]', r"export\.json, task 1: it has no image"),
        ('[7, {"data": {}, "annotations": []}]', r"export\.json, task 1: this is not a task"),
        ('[{"data": {"image": "a.png"}, "annotations": []}]', "no task has an annotation"),
    ],
)
def test_a_damaged_export_is_named(tmp_path: Path, text: str, message: str) -> None:
    save(tmp_path / "export.json", text)
    with pytest.raises(DataError, match=message):
        label_studio.recognise(Catalog(open_tree(tmp_path)))
