"""CSV tables with a box on each line."""

from __future__ import annotations

from pathlib import Path

import pytest
from drawn_layouts import DrawnImage, save, save_images

from data_prep.detection.annotations import NO_BOX_AREA, AnnotationFile, read_annotations
from data_prep.detection.formats import box_table
from data_prep.detection.formats.source_files import Catalog
from data_prep.detection.layout import Layout
from data_prep.files.tree import open_tree
from mnasnet_cli.errors import DataError

HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax\n"
ROWS = "one.png,100,50,b,1,2,31,42\none.png,100,50,a,10,0,20,50\n"


def recognised(root: Path) -> Layout:
    layout = box_table.recognise(Catalog(open_tree(root)))
    assert layout is not None
    return layout


def read(root: Path, split: str = "train") -> AnnotationFile:
    images = recognised(root).splits[split]
    return read_annotations(images.read(), images.name)


@pytest.mark.parametrize(
    "table",
    [
        HEADER + ROWS,
        "\ufeff" + (HEADER + ROWS).replace("\n", "\r\n"),
        (HEADER + ROWS).replace(",", ";"),
        "image_path,xmin,ymin,xmax,ymax,label\nimages\\one.png,1,2,31,42,b\nimages\\one.png,10.0,0,20,50,a\n",
    ],
)
def test_boxes_are_read_from_edges(tmp_path: Path, table: str) -> None:
    save_images(tmp_path / "images", [DrawnImage("one", 100, 50, ())])
    save(tmp_path / "train_labels.csv", table)
    file = read(tmp_path)
    assert list(file.boxes) == [1, 2, 30, 40, 10, 0, 10, 50]
    assert list(file.annotation_categories) == [2, 1]
    assert not file.faults


def test_roboflows_splits(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        save_images(tmp_path / split, [DrawnImage("one", 100, 50, ())])
        save(tmp_path / split / "_annotations.csv", HEADER + ROWS)
    layout = recognised(tmp_path)
    assert list(layout.splits) == ["train", "validation", "test"]
    assert {images.folder for images in layout.splits.values()} == {"train", "valid", "test"}


def test_damaged_lines_and_images_without_boxes(tmp_path: Path) -> None:
    save_images(tmp_path, [DrawnImage("one", 100, 50, ()), DrawnImage("two", 100, 50, ())])
    save(tmp_path / "labels.csv", HEADER + "one.png,100,50,a,30,2,10,x\none.png,100,50,a,30,2,10,9\ntwo.png,,,,,,,\n")
    with pytest.raises(DataError, match=r"no object can be used: .*line 2"):
        read(tmp_path)
    save(tmp_path / "labels.csv", HEADER + ROWS + "one.png,100,50,a,30,2,10,9\ntwo.png,,,,,,,\n")
    file = read(tmp_path)
    assert len(file.boxes) == 8
    assert [fault["reason"] for fault in file.faults] == [NO_BOX_AREA]
    save(tmp_path / "labels.csv", HEADER + "one.png,100\n")
    with pytest.raises(DataError, match="line 2: 2 columns"):
        recognised(tmp_path)


def test_other_tables_are_not_taken(tmp_path: Path) -> None:
    save(tmp_path / "labels.csv", "filename,class\none.png,a\n")
    assert box_table.recognise(Catalog(open_tree(tmp_path))) is None


def test_tables_that_repeat_each_other(tmp_path: Path) -> None:
    save_images(tmp_path / "images", [DrawnImage("one", 100, 50, ()), DrawnImage("two", 100, 50, ())])
    for name in ("train_labels.csv", "raccoon_labels.csv"):
        save(tmp_path / "data" / name, HEADER + ROWS)
    save(tmp_path / "data" / "test_labels.csv", HEADER + ROWS.replace("one", "two"))
    assert list(recognised(tmp_path).splits) == ["train", "test"]
    assert len(read(tmp_path).boxes) == 8
    save(tmp_path / "data" / "train_labels_2.csv", HEADER + ROWS)
    file = read(tmp_path)
    assert len(file.boxes) == 8
    assert [finding.code for finding in file.findings] == ["in-two-files"]
