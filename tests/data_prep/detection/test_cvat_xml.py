"""CVAT's XML: shapes, subsets, and what is damaged."""

from __future__ import annotations

from pathlib import Path

import drawn_layouts
import pytest
from drawn_layouts import DrawnImage, save, save_images

from data_prep.detection.annotations import AnnotationFile, read_annotations
from data_prep.detection.formats import cvat_xml
from data_prep.detection.formats.source_files import Catalog
from data_prep.detection.layout import Layout
from data_prep.files.tree import open_tree
from mnasnet_cli.errors import DataError

BOX = (1, 2, 30, 40)
RECTANGLE = '<box label="a" xtl="1.00" ytl="2" xbr="31" ybr="42"/>'


def recognised(root: Path) -> Layout:
    layout = cvat_xml.recognise(Catalog(open_tree(root)))
    assert layout is not None
    return layout


def read(root: Path, split: str = "train") -> AnnotationFile:
    images = recognised(root).splits[split]
    return read_annotations(images.read(), images.name)


def one_image(root: Path, shapes: str, meta: str = "") -> Path:
    save_images(root / "images", [DrawnImage("one", 100, 50, ())])
    image = f'<image id="0" name="one.png" width="100" height="50">\n{shapes}\n</image>'
    save(root / "annotations.xml", f"<annotations><version>1.1</version><meta>{meta}</meta>\n{image}\n</annotations>")
    return root


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        (RECTANGLE, BOX),
        ('<box label="a" xtl="40" ytl="20" xbr="60" ybr="30" rotation="90"/>', (45, 15, 10, 20)),
        ('<polygon label="a" points="5.0,2.0;31.0,9.0;1.0,42.0"/>', BOX),
        ('<polyline label="a" points="5,2;31,42;1,9"/>', BOX),
        ('<ellipse label="a" cx="40" cy="25" rx="10" ry="5" rotation="90"/>', (35, 15, 10, 20)),
        ('<mask label="a" rle="1, 2" left="1" top="2" width="30" height="40"/>', BOX),
        ('<cuboid label="a" xtl1="1" ytl1="5" xbl1="7" ybl1="42" xtr2="31" ytr2="2"/>', BOX),
        (
            '<box label="a" xtl="1" ytl="2" xbr="31" ybr="42"><attribute name="x">1</attribute></box><tag label="b"/>',
            BOX,
        ),
    ],
)
def test_shapes_have_boxes(tmp_path: Path, shape: str, box: tuple[float, ...]) -> None:
    file = read(one_image(tmp_path, shape))
    assert tuple(file.boxes) == pytest.approx(box)
    assert (list(file.widths), list(file.heights)) == ([100], [50])
    assert not file.faults


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ('<points label="a" points="1,2"/>', "no box"),
        ('<skeleton label="a"/>', "no box"),
        (RECTANGLE.replace('label="a"', ""), "no class"),
        (RECTANGLE.replace("31", "1"), "no area"),
        (RECTANGLE.replace('xbr="31"', ""), "four finite numbers"),
        ('<polygon label="a" points=""/>', "four finite numbers"),
        ('<box label="a" xtl="100" ytl="2" xbr="131" ybr="42"/>', "outside"),
    ],
)
def test_other_shapes_are_faults_with_their_line(tmp_path: Path, shape: str, reason: str) -> None:
    file = read(one_image(tmp_path, f"{RECTANGLE}\n{shape}"))
    assert len(file.annotation_ids) == 1
    assert [reason in fault["reason"] for fault in file.faults] == [True]
    assert str(file.faults[0]) == f"annotation {tmp_path}/annotations.xml, line 4 of image one.png"


def test_a_task_names_its_subset_and_its_labels_once(tmp_path: Path) -> None:
    meta = "<task><subset>Validation</subset><labels><label><name>zz</name></label></labels></task>"
    file = read(one_image(tmp_path, RECTANGLE, meta), "validation")
    assert file.categories == {1: "a", 2: "zz"}


def test_two_tasks_are_one_data_set(tmp_path: Path) -> None:
    for task in ("x", "y"):
        drawn_layouts.write_cvat(tmp_path / task)
    file = read(tmp_path)
    assert len(file.image_ids) == 8
    assert file.image_names[:2] == ["x/images/Train/a 1.png", "x/images/Train/b.png"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotations>\n<track id='0'/></annotations>", r"annotations\.xml, line 2: this is 'CVAT for video'"),
        ("<annotations>\n<image>\n</annotations>", r"annotations\.xml, line 3: not XML \(mismatched tag\)"),
        ("<annotations>\n<image width='1'/></annotations>", r"annotations\.xml, line 2: an image without a name"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotations/>', "entity 'b'"),
    ],
)
def test_a_damaged_file_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    save(tmp_path / "annotations.xml", text)
    with pytest.raises(DataError, match=message):
        read(tmp_path)
