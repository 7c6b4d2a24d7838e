"""Pascal VOC files: their splits, from where they count pixels, and what is odd or damaged in them."""

from __future__ import annotations

from pathlib import Path

import drawn_layouts
import pytest
from drawn_layouts import DrawnImage, save, save_images

from data_prep.detection.annotations import AnnotationFile, read_annotations
from data_prep.detection.formats import pascal_voc
from data_prep.detection.formats.source_files import Catalog
from data_prep.detection.layout import Layout
from data_prep.files.tree import open_tree

BOX = "<bndbox><xmin>11</xmin><ymin>21</ymin><xmax>30</xmax><ymax>40</ymax></bndbox>"
ONE = DrawnImage("one", 100, 50, ())


def recognised(root: Path) -> Layout:
    layout = pascal_voc.recognise(Catalog(open_tree(root)))
    assert layout is not None
    return layout


def read(root: Path, split: str = "train") -> AnnotationFile:
    images = recognised(root).splits[split]
    return read_annotations(images.read(), images.name)


def one_file(root: Path, body: str, size: str = "<size><width>100</width><height>50</height></size>") -> Path:
    """Make a source with an image of 100×50 px and its file."""
    save_images(root, [ONE])
    save(root / "one.xml", f"<annotation>\n<filename>old.jpg</filename>\n{size}\n{body}\n</annotation>")
    return root


def an_object(box: str = BOX, name: str = "<name>a</name>") -> str:
    return f"<object>{name}{box}</object>"


@pytest.mark.parametrize(
    ("marks", "box", "described"),
    [
        ("<source><database>The VOC2007 Database</database></source>", (10, 20, 20, 20), "from 1"),
        ("<folder>VOC2012</folder>", (10, 20, 20, 20), "from 1"),
        ("<folder>VOC2012</folder><source><database>Unknown</database></source>", (11, 21, 19, 19), "from 0"),
        ("<folder>images</folder>", (11, 21, 19, 19), "from 0"),
        ("", (11, 21, 19, 19), "from 0"),
    ],
)
def test_files_of_the_challenge_count_from_one(
    tmp_path: Path, marks: str, box: tuple[float, ...], described: str
) -> None:
    root = one_file(tmp_path, marks + an_object())
    assert described in recognised(root).description
    assert tuple(read(root).boxes) == box


def test_files_that_say_to_count_from_one_and_do_not_are_suspected(tmp_path: Path) -> None:
    file = read(one_file(tmp_path, "<folder>VOC2007</folder>" + an_object(BOX.replace("11", "0"))))
    assert [(one.code, one.count) for one in file.findings] == [("counts-from-zero", 1)]


@pytest.mark.parametrize(
    ("body", "box"),
    [
        (BOX, (11, 21, 19, 19)),
        ("<part><name>x</name><bndbox><xmin>1</xmin></bndbox></part>" + BOX, (11, 21, 19, 19)),
        (BOX.replace("11", "11.25").replace("40", "40.5"), (11.25, 21, 18.75, 19.5)),
        (BOX.replace("11", "30").replace(">30</xmax", ">11</xmax"), (11, 21, 19, 19)),  # swapped
        (
            "<polygon><pt><x>1</x><y>2</y></pt><pt><x>9</x><y>5</y></pt><pt><x>4</x><y>7</y></pt></polygon>",
            (1, 2, 8, 5),
        ),
        ("<polygon><x1>1</x1><y1>2</y1><x2>9</x2><y2>5</y2><x3>4</x3><y3>7</y3></polygon>", (1, 2, 8, 5)),
        ("<robndbox><cx>50</cx><cy>25</cy><w>20</w><h>10</h><angle>1.5707963</angle></robndbox>", (45, 15, 10, 20)),
    ],
)
def test_objects_have_boxes_or_polygons(tmp_path: Path, body: str, box: tuple[float, ...]) -> None:
    file = read(one_file(tmp_path, an_object(body)))
    assert tuple(file.boxes) == pytest.approx(box, abs=1e-5)
    assert not file.faults
    assert len(file.findings) == ("polygon" in body or "30</xmin" in body)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (an_object(""), "neither a box nor a polygon"),
        (an_object(BOX, "<name> </name>"), "no class"),
        (an_object(BOX.replace("11", "x")), "four finite numbers"),
        (an_object(BOX.replace("<xmin>11</xmin>", "")), "four finite numbers"),
        (an_object(BOX.replace("30", "11")), "no area"),
        (an_object(BOX.replace("11", "101").replace("30", "130")), "outside"),
    ],
)
def test_other_objects_are_faults_with_their_file_and_line(tmp_path: Path, body: str, reason: str) -> None:
    file = read(one_file(tmp_path, f"{an_object()}\n{body}"))
    assert len(file.annotation_ids) == 1
    assert [reason in fault["reason"] for fault in file.faults] == [True]
    assert str(file.faults[0]) == f"annotation {tmp_path}/one.xml, line 5 of image one.png"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("<annotation>\n<object>\n</annotation>", 3, "mismatched tag"),
        ("<annotation>\n", 2, "no element found"),
        ('<!DOCTYPE x [<!ENTITY a "aaa">\n<!ENTITY b "&a;&a;">]>\n<annotation>&b;</annotation>', 1, "entity 'a'"),
        ('<!DOCTYPE x [<!ENTITY a SYSTEM "other.xml">]><annotation>&a;</annotation>', 1, "entity 'a'"),
        ("<annotation>\n<name>\x01</name></annotation>", 2, "not well-formed"),
    ],
)
def test_a_damaged_file_is_named_with_its_line(tmp_path: Path, text: str, line: int, reason: str) -> None:
    root = one_file(tmp_path, an_object())
    save(root / "two.xml", text)
    file = read(root)
    assert file.image_names == ["one.png"]
    assert str(file.faults[0]).startswith(f"annotation {tmp_path}/two.xml, line {line} of image two")
    assert reason in file.faults[0]["reason"]


def test_the_size_may_be_unknown_or_stand_twice(tmp_path: Path) -> None:
    size = "<size><width>{}</width><height>{}</height></size>"
    for text in (size.format(0, 0) + size.format(100, 50), size.format("100.0", "50")):
        images = recognised(one_file(tmp_path, an_object(), text)).splits["train"]
        entry = next(value for key, number, value in images.read() if key == "images" and number == 0)
        assert entry == {"id": 1, "file_name": "one.png", "width": 100, "height": 50}
    for text in ("", size.format(0, 0), size.format("", "x")):
        images = recognised(one_file(tmp_path, an_object(), text)).splits["train"]
        assert {"id": 1, "file_name": "one.png"} in [value for _, _, value in images.read()]


def test_difficult_objects_are_counted(tmp_path: Path) -> None:
    file = read(one_file(tmp_path, an_object(BOX + "<difficult>1</difficult>")))
    assert list(file.crowds) == [False]
    assert [(one.code, one.count) for one in file.findings] == [("difficult-objects", 1)]


def test_classes_of_all_splits_are_numbered_by_name(tmp_path: Path) -> None:
    for split, name in (("train", "zebra  crossing"), ("valid", "ant")):
        one_file(tmp_path / split, an_object(name=f"<name>{name}</name>"))
    for split, number in (("train", 2), ("validation", 1)):
        file = read(tmp_path, split)
        assert file.categories == {1: "ant", 2: "zebra crossing"}
        assert list(file.annotation_categories) == [number]


def test_image_sets_say_the_splits(tmp_path: Path) -> None:
    drawn_layouts.write_voc(tmp_path)
    sets = tmp_path / "VOCdevkit" / "VOC2012" / "ImageSets" / "Main"
    (sets / "test.txt").unlink()
    layout = recognised(tmp_path)
    assert list(layout.splits) == ["train", "validation"]
    assert [(one.code, one.count) for one in read(tmp_path).findings] == [("not-in-a-list", 1)]
    (sets / "test.txt").write_text("")
    (sets / "default.txt").write_text("JPEGImages/h.png\r\n")
    assert read(tmp_path).image_names == ["a 1.png", "b.png", "c.png", "d.e.png", "h.png"]
    (sets / "default.txt").unlink()
    (sets / "train.txt").rename(sets / "trainval.txt")
    (sets / "val.txt").rename(sets / "test.txt")
    assert list(recognised(tmp_path).splits) == ["train", "test"]
    assert len(read(tmp_path).image_ids) == 4


def test_two_years_are_one_data_set(tmp_path: Path) -> None:
    drawn_layouts.write_voc(tmp_path)
    (tmp_path / "VOCdevkit" / "VOC2012").rename(tmp_path / "VOCdevkit" / "VOC2007")
    drawn_layouts.write_voc(tmp_path)
    file = read(tmp_path)
    assert len(file.image_ids) == 8
    assert file.image_names[4] == "VOC2012/JPEGImages/a 1.png"


def test_images_may_be_in_folders_by_split_and_the_files_in_one(tmp_path: Path) -> None:
    for split, images in drawn_layouts.DATA_SET.items():
        save_images(tmp_path / "images" / split, images)
        for image in images:
            text = drawn_layouts.voc_xml(image, first=0, database="Unknown", folder="x")
            save(tmp_path / "annotations" / f"{image.stem}.xml", text)
    layout = recognised(tmp_path)
    assert list(layout.splits) == ["train", "validation", "test"]
    assert (layout.splits["validation"].folder, read(tmp_path, "validation").image_names) == (
        "images/validation",
        ["f.png", "g.png"],
    )


def test_masks_named_like_the_images_are_not_the_images(tmp_path: Path) -> None:
    drawn_layouts.write_voc(tmp_path)
    base = tmp_path / "VOCdevkit" / "VOC2012"
    for path in list((base / "JPEGImages").iterdir()):
        save(base / "AMasks" / path.name, "mask")
    assert recognised(tmp_path).splits["train"].folder == "VOCdevkit/VOC2012/JPEGImages"


def test_other_xml_is_something_else(tmp_path: Path) -> None:
    save(tmp_path / "a.xml", "<?xml version='1.0'?><!-- <annotation> --><project/>")
    save(tmp_path / "b.xml", "annotation")
    assert pascal_voc.recognise(Catalog(open_tree(tmp_path))) is None
