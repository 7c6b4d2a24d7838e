"""Files of VIA: shapes, the attribute that names the class, and what is odd or damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import drawn_layouts
import pytest
from drawn_layouts import CLASSES, DrawnImage, save, save_images

from data_prep.detection.annotations import AnnotationFile, read_annotations
from data_prep.detection.formats import via
from data_prep.detection.formats.source_files import Catalog
from data_prep.detection.layout import Layout
from data_prep.files.tree import open_tree
from mnasnet_cli.errors import DataError

RECT = {"name": "rect", "x": 1, "y": 2, "width": 30, "height": 40}
BOX = (1, 2, 30, 40)


def recognised(root: Path) -> Layout:
    layout = via.recognise(Catalog(open_tree(root)))
    assert layout is not None
    return layout


def read(root: Path, split: str = "train") -> AnnotationFile:
    images = recognised(root).splits[split]
    return read_annotations(images.read(), images.name)


def one_file(root: Path, *regions: tuple[Any, Any], attributes: dict[str, Any] | None = None) -> Path:
    """Make a project with one image of 100×50 px. Regions: shape and attributes."""
    save_images(root, [DrawnImage("one", 100, 50, ())])
    listed = [{"shape_attributes": shape, "region_attributes": own} for shape, own in regions]
    images = {"one.png9": {"filename": "one.png", "size": 9, "regions": listed, "file_attributes": {}}}
    content = {"_via_settings": {}, "_via_img_metadata": images, "_via_attributes": {"region": attributes or {}}}
    save(root / "project.json", content)
    return root


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        (RECT, BOX),
        (RECT | {"x": "1", "width": 30.0}, BOX),
        ({"name": "polygon", "all_points_x": [5, 31, 1], "all_points_y": [2, 9, 42]}, BOX),
        ({"name": "polyline", "all_points_x": [5, 31, 1], "all_points_y": [2, 9, 42]}, BOX),
        ({"name": "circle", "cx": 40, "cy": 25, "r": 10}, (30, 15, 20, 20)),
        ({"name": "ellipse", "cx": 40, "cy": 25, "rx": 10, "ry": 5}, (30, 20, 20, 10)),
        ({"name": "ellipse", "cx": 40, "cy": 25, "rx": 10, "ry": 5, "theta": 1.5707963268}, (35, 15, 10, 20)),
    ],
)
def test_shapes_have_boxes(tmp_path: Path, shape: dict[str, Any], box: tuple[float, ...]) -> None:
    file = read(one_file(tmp_path, (shape, {"class": "a"})))
    assert tuple(file.boxes) == pytest.approx(box)
    assert not file.faults


@pytest.mark.parametrize(
    ("shape", "attributes", "reason"),
    [
        ({"name": "point", "cx": 4, "cy": 5}, {"class": "a"}, "no box"),
        ({}, {"class": "a"}, "no box"),
        ([], [], "no box"),
        (RECT | {"width": 0}, {"class": "a"}, "no area"),
        (RECT | {"x": "left"}, {"class": "a"}, "four finite numbers"),
        ({"name": "polygon", "all_points_x": []}, {"class": "a"}, "four finite numbers"),
        (RECT | {"x": 100}, {"class": "a"}, "outside"),
        (RECT, {}, "no class"),
        (RECT, {"class": ""}, "no class"),
        (RECT, {"class": {"a": True, "b": True, "c": False}}, "several classes"),
    ],
)
def test_other_regions_are_faults_with_their_file_and_number(
    tmp_path: Path, shape: Any, attributes: Any, reason: str
) -> None:
    file = read(one_file(tmp_path, (RECT, {"class": "a"}), (shape, attributes)))
    assert len(file.annotation_ids) == 1
    assert [reason in fault["reason"] for fault in file.faults] == [True]
    assert str(file.faults[0]) == f"annotation {tmp_path}/project.json, region 2 of image one.png"


@pytest.mark.parametrize(
    ("own", "attributes", "name"),
    [
        ({"note": "x", "Type": "a"}, {}, "a"),
        ({"name": "x", "fruit": "a"}, {"name": {"type": "text"}, "fruit": {"options": {"a": ""}}}, "a"),
        ({"fruit": {"a": True, "b": False}}, {"fruit": {"type": "checkbox", "options": {"a": "", "b": ""}}}, "a"),
        ({"fruit": "1"}, {"fruit": {"options": {"0": "pear", "1": " green  apple "}}}, "green apple"),
        ({"fruit": "1"}, {"fruit": {"options": {"1": ""}}}, "1"),
        ({}, {}, "object"),
    ],
)
def test_one_attribute_names_the_class(
    tmp_path: Path, own: dict[str, Any], attributes: dict[str, Any], name: str
) -> None:
    assert read(one_file(tmp_path, (RECT, own), attributes=attributes)).categories == {1: name}


def test_regions_may_be_numbered(tmp_path: Path) -> None:
    """Version 1 has an object in place of a list."""
    one_file(tmp_path, (RECT, {"class": "a"}))
    save_images(tmp_path, [DrawnImage("two", 9, 9, ())])
    content = json.loads((tmp_path / "project.json").read_text())["_via_img_metadata"]
    content["one.png9"]["regions"] = {"0": content["one.png9"]["regions"][0]}
    save(tmp_path / "project.json", content | {"two.png": {"filename": "two.png", "size": 1}})
    file = read(tmp_path)
    assert tuple(file.boxes) == BOX
    assert file.image_names == ["one.png", "two.png"]


def test_a_project_and_its_export_are_one_data_set(tmp_path: Path) -> None:
    drawn_layouts.write_via_project(tmp_path)
    (project,) = tmp_path.glob("*.json")
    save(tmp_path / "export.json", json.loads(project.read_text())["_via_img_metadata"])
    file = read(tmp_path)
    assert len(file.image_ids) == 7
    assert list(file.categories.values()) == list(CLASSES)
    assert [(one.code, one.count) for one in file.findings] == [("in-two-files", 7)]


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        ([3, 40, 25, 10], (30, 15, 20, 20)),
        ([4, 40, 25, 10, 5], (30, 20, 20, 10)),
        ([7, 5, 2, 31, 9, 1, 42], BOX),
        ([8, 5, 2, 31, 9, 1, 42, 3, 4], BOX),
        ([1, 4, 5], None),
        (["x"], None),
        ([], None),
    ],
)
def test_shapes_of_version_3(tmp_path: Path, shape: list[Any], box: tuple[float, ...] | None) -> None:
    drawn_layouts.write_via_3(tmp_path)
    (path,) = tmp_path.glob("*.json")
    content = json.loads(path.read_text())
    content["metadata"]["x"] = {"vid": "3", "z": [], "xy": shape, "av": {"1": "2"}}  # of an image without boxes
    content["file"]["99"] = {"fid": "99", "fname": "film.mp4", "type": 4}
    save(path, content)
    file = read(tmp_path)
    assert len(file.image_names) == 7
    added = [row for row, image in enumerate(file.annotation_images) if file.image_names[image - 1] == "c.png"]
    assert [tuple(file.boxes[4 * row : 4 * row + 4]) for row in added] == ([] if box is None else [box])
    assert len(file.faults) == (shape != [] and box is None)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", '{"a": {"filename": "x", "regions": [],\n "size": 1,}}', r"a\.json is not valid JSON: .* in line 2"),
        ("a.json", '{"a": {"filename": "", "regions": [], "size": 1}}', r"a\.json: image 1 has no 'filename'"),
        ("a.csv", "filename,region_shape_attributes\nx,{}\ny,{a\n", r"a\.csv, line 3: .*not valid JSON"),
        ("a.csv", "filename,region_shape_attributes\n,{}\n", r"a\.csv, line 2: no file name"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    save(tmp_path / name, text)
    with pytest.raises(DataError, match=message):
        via.recognise(Catalog(open_tree(tmp_path)))


def test_other_files_are_something_else(tmp_path: Path) -> None:
    save(tmp_path / "a.json", {"images": [], "annotations": []})
    save(tmp_path / "a.csv", "file,label\n")
    assert via.recognise(Catalog(open_tree(tmp_path))) is None
