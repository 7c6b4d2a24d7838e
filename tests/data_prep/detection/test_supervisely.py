"""Projects of Supervisely: shapes, splits, and what is damaged."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import drawn_layouts
import pytest
from drawn_layouts import CLASSES, DrawnImage, save, save_images, supervisely_bitmap

from data_prep.detection.annotations import AnnotationFile, read_annotations
from data_prep.detection.formats import supervisely
from data_prep.detection.formats.source_files import Catalog
from data_prep.detection.layout import Layout
from data_prep.files.tree import open_tree
from mnasnet_cli.errors import DataError

RECTANGLE = {"geometryType": "rectangle", "points": {"exterior": [[1, 2], [31, 42]], "interior": []}}
BOX = (1, 2, 30, 40)


def recognised(root: Path) -> Layout:
    layout = supervisely.recognise(Catalog(open_tree(root)))
    assert layout is not None
    return layout


def read(root: Path, split: str = "train") -> AnnotationFile:
    images = recognised(root).splits[split]
    return read_annotations(images.read(), images.name)


def one_image(root: Path, *objects: Any, tags: list[Any] = [], name: str = "one.png.json") -> Path:  # noqa: B006
    save_images(root / "ds" / "img", [DrawnImage("one", 100, 50, ())])
    save(root / "meta.json", {"classes": [{"title": "a"}], "tags": [{"name": "val"}, {"name": "split"}]})
    content = {"size": {"width": 100, "height": 50}, "tags": tags, "objects": list(objects)}
    save(root / "ds" / "ann" / name, content)
    return root


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        (RECTANGLE, BOX),
        ({"points": {"exterior": [[31, 42], [1, 2]]}}, BOX),
        ({"geometryType": "polygon", "points": {"exterior": [[5, 2], [31, 9], [1, 42]]}}, BOX),
        ({"geometryType": "line", "points": {"exterior": [[5.5, 2], [31, 42]]}}, (5.5, 2, 25.5, 40)),
        ({"geometryType": "bitmap", "bitmap": {"data": supervisely_bitmap(30, 40), "origin": [1, 2]}}, BOX),
        ({"geometryType": "graph", "nodes": {"x": {"loc": [1, 2]}, "y": {"loc": [31, 42]}}}, BOX),
        ({"geometryType": "cuboid", "points": [[1, 9], [31, 2], [7, 42]]}, BOX),
        (
            {"geometryType": "oriented_bbox", "angle": 1.5707963268, "points": {"exterior": [[40, 20], [60, 30]]}},
            (45, 15, 10, 20),
        ),
    ],
)
def test_shapes_have_boxes(tmp_path: Path, shape: dict[str, Any], box: tuple[float, ...]) -> None:
    file = read(one_image(tmp_path, shape | {"classTitle": "a"}))
    assert tuple(file.boxes) == pytest.approx(box)
    assert not file.faults


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ({"classTitle": "a", "geometryType": "point", "points": {"exterior": [[1, 2]]}}, "no box"),
        ({"classTitle": "a"}, "no box"),
        (None, "no box"),
        (RECTANGLE, "no class"),
        ({"classTitle": "a", "points": {"exterior": [[1, 2], [1, 9]]}}, "no area"),
        ({"classTitle": "a", "points": {"exterior": [[1, 2], [1]]}}, "four finite numbers"),
        ({"classTitle": "a", "bitmap": {"data": "eJwD", "origin": [1, 2]}}, "four finite numbers"),
        ({"classTitle": "a", "bitmap": {"data": supervisely_bitmap(3, 3), "origin": []}}, "four finite numbers"),
        ({"classTitle": "a", "points": {"exterior": [[200, 2], [210, 9]]}}, "outside"),
    ],
)
def test_other_objects_are_faults_with_their_file_and_number(tmp_path: Path, found: Any, reason: str) -> None:
    file = read(one_image(tmp_path, RECTANGLE | {"classTitle": "a"}, found))
    assert len(file.annotation_ids) == 1
    assert [reason in fault["reason"] for fault in file.faults] == [True]
    assert str(file.faults[0]) == f"annotation {tmp_path}/ds/ann/one.png.json, object 2 of image one.png"


@pytest.mark.parametrize("tags", [[{"name": "val"}], [{"name": "split", "value": "Val"}]])
def test_tags_of_images_may_name_the_split(tmp_path: Path, tags: list[Any]) -> None:
    assert list(recognised(one_image(tmp_path, tags=tags)).splits) == ["validation"]


def test_old_projects_name_their_files_after_the_image_without_suffix(tmp_path: Path) -> None:
    assert read(one_image(tmp_path, name="one.json")).image_names == ["one.png"]


def test_declared_classes_count_without_objects(tmp_path: Path) -> None:
    drawn_layouts.write_supervisely(tmp_path)
    (tmp_path / "meta.json").write_text('{"classes": [{"title": "aaa"}]}')
    assert list(read(tmp_path).categories.values()) == ["aaa", *CLASSES]


@pytest.mark.parametrize(
    ("text", "message"), [("{\n", r"two\.png\.json is not valid JSON: .* in line 2"), ("[]", "has no list 'objects'")]
)
def test_a_damaged_file_is_named_and_its_image_left_out(tmp_path: Path, text: str, message: str) -> None:
    one_image(tmp_path, RECTANGLE | {"classTitle": "a"})
    save_images(tmp_path / "ds" / "img", [DrawnImage("two", 100, 50, ())])
    save(tmp_path / "ds" / "ann" / "two.png.json", text)
    save(tmp_path / "meta.json", {"classes": [{"title": "a"}]})
    file = read(tmp_path)
    assert file.image_names == ["one.png"]
    assert re.search(message, str(file.faults[0]))


def test_a_damaged_file_with_the_tags_is_named(tmp_path: Path) -> None:
    one_image(tmp_path)
    save(tmp_path / "ds" / "ann" / "one.png.json", "{\n")
    with pytest.raises(DataError, match=r"one\.png\.json is not valid JSON: .* in line 2"):
        read(tmp_path)


def test_other_folders_are_something_else(tmp_path: Path) -> None:
    save(tmp_path / "meta.json", {})
    save_images(tmp_path / "img", [DrawnImage("one", 9, 9, ())])
    assert supervisely.recognise(Catalog(open_tree(tmp_path))) is None
