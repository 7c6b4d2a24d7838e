"""YOLO labels: where they and the names of their classes lie, and what their lines may hold."""

from __future__ import annotations

import shutil
from pathlib import Path

import drawn_layouts
import pytest
from drawn_layouts import CLASSES, DrawnImage, save, save_images
from PIL import Image

from data_prep.detection.annotations import AnnotationFile, read_annotations
from data_prep.detection.formats import yolo
from data_prep.detection.formats.source_files import Catalog
from data_prep.detection.layout import Layout
from data_prep.detection.recognition import find_layout
from data_prep.files.tree import open_tree
from data_prep.options import CocoOptions
from mnasnet_cli.errors import DataError

ONE = DrawnImage("one", 100, 50, ())


def recognised(root: Path) -> Layout:
    layout = yolo.recognise(Catalog(open_tree(root)))
    assert layout is not None
    return layout


def read(root: Path, split: str = "train") -> AnnotationFile:
    images = recognised(root).splits[split]
    return read_annotations(images.read(), images.name)


def one_image(root: Path, lines: str, config: str = "names: [a, b]\ntrain: images\n") -> Path:
    """Make a source with one image of 100×50 px."""
    save_images(root / "images", [ONE])
    (root / "labels").mkdir()
    (root / "labels" / "one.txt").write_bytes(lines.encode())
    save(root / "data.yaml", config)
    return root


@pytest.mark.parametrize(
    ("line", "box"),
    [
        ("1 0.5 0.5 0.2 0.4", (40, 15, 20, 20)),
        ("1.0 0.5 0.5 0.2 0.4", (40, 15, 20, 20)),
        ("b 0.5 0.5 0.2 0.4", (40, 15, 20, 20)),
        ("1,0.5,0.5,0.2,0.4\r", (40, 15, 20, 20)),
        ("\ufeff1\t5e-1 .5  0.2 0.4 ", (40, 15, 20, 20)),
        ("1 0.5 0.5 0.2 0.4 0.87", (40, 15, 20, 20)),  # a confidence
        ("1 0.1 0.2 0.5 0.2 0.5 0.9", (10, 10, 40, 35)),  # three points
        ("1 0.1 0.2 0.5 0.2 0.5 0.9 0.3 1", (10, 10, 40, 40)),  # four points, or a rotated box
        ("1 0.1 0.2 0.5 0.2 0.5 0.9 0.75", (10, 10, 40, 35)),  # three points and a confidence
        ("1 0.5 0.5 0.2 0.4 0.1 0.1 2 0.9 0.9 0 0.5 0.5 1", (40, 15, 20, 20)),  # three keypoints
    ],
)
def test_lines_hold_boxes_polygons_and_keypoints(tmp_path: Path, line: str, box: tuple[float, ...]) -> None:
    file = read(one_image(tmp_path, f"{line}\n"))
    assert list(file.boxes) == pytest.approx(box, abs=1e-9)
    assert [file.categories[number] for number in file.annotation_categories] == ["b"]
    assert list(file.annotation_categories) == [2]
    assert not file.faults
    assert [one.code for one in file.findings] == (["confidence-column"] if line.endswith(("0.87", "0.75")) else [])


def test_kpt_shape_says_what_keypoints_without_visibility_are(tmp_path: Path) -> None:
    config = "names: [a, b]\ntrain: images\nkpt_shape: [2, 2]\n"
    file = read(one_image(tmp_path, "1 0.5 0.5 0.2 0.4 0.1 0.1 0.9 0.9\n", config))
    assert list(file.boxes) == pytest.approx((40, 15, 20, 20))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("2 0.5 0.5 0.2 0.4", "not among the names"),
        ("c 0.5 0.5 0.2 0.4", "not among the names"),
        ("-1 0.5 0.5 0.2 0.4", "not among the names"),
        ("1.5 0.5 0.5 0.2 0.4", "not among the names"),
        ("1 0.5 0.5 0.2", "does not hold"),
        ("1", "does not hold"),
        ("1 0.5 0.5 0.2 0.4 7", "does not hold"),
        ("1 0.5 x 0.2 0.4", "other than numbers"),
        ("1 nan 0.5 0.2 0.4", "other than numbers"),
        ("1 inf 0.5 0.2 0.4", "not fractions"),
        ("1 320 240 64 64", "not fractions"),
        ("1 0.5 0.5 0 0.4", "no area"),
        ("1 0.5 0.5 -0.1 0.4", "no area"),
        ("1 1.5 0.5 0.2 0.4", "outside the image"),
    ],
)
def test_other_lines_are_faults_with_their_file_and_line(tmp_path: Path, line: str, reason: str) -> None:
    file = read(one_image(tmp_path, f"0 0.5 0.5 0.2 0.4\n\n{line}\n"))
    assert len(file.annotation_ids) == 1
    assert [reason in fault["reason"] for fault in file.faults] == [True]
    assert str(file.faults[0]) == f"annotation {tmp_path}/labels/one.txt, line 3 of image one.png"


def test_repeated_lines_count_once(tmp_path: Path) -> None:
    file = read(one_image(tmp_path, "0 0.5 0.5 0.2 0.4\n0 0.5 0.5 0.2 0.4\r\n1 0.5 0.5 0.2 0.4"))
    assert list(file.annotation_categories) == [1, 2]
    assert [(one.severity, one.count) for one in file.findings] == [("mended", 1)]


def test_images_without_label_file_and_with_an_empty_one_have_no_boxes(tmp_path: Path) -> None:
    root = one_image(tmp_path, "0 0.5 0.5 0.2 0.4")
    save_images(root / "images", [DrawnImage("empty", 20, 20, ()), DrawnImage("none", 30, 20, ())])
    save(root / "labels" / "empty.txt", "")
    file = read(root)
    assert file.image_names == ["empty.png", "none.png", "one.png"]
    assert list(file.annotation_images) == [3]
    assert [(one.code, one.count, one.example) for one in file.findings] == [("no-label-file", 1, "images/none.png")]


def test_boxes_are_fractions_of_the_picture_that_a_person_sees(tmp_path: Path) -> None:
    root = one_image(tmp_path, "0 0.5 0.5 0.2 0.4")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (100, 50)).save(root / "images" / "one.png", exif=exif)
    file = read(root)
    assert (list(file.widths), list(file.heights)) == ([50], [100])
    assert list(file.boxes) == pytest.approx((20, 30, 10, 40))


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ("names: ['no', yes, 007]\ntrain: images\n", ["no", "yes", "007"]),
        ("names: {0: a, 2: b}\nnc: 3\ntrain: images\n", ["a", "b"]),
        ("names:\n- a\n- b\ntrain: /datasets/me/data/images\n", ["a", "b"]),
        ("path: C:\\data\\set\ntrain: ..\\images\nnc: 2", ["0", "1"]),
        ("names: one class\ntrain: images", ["one class"]),
        ("names: data/my.names\ntrain: [images, images]\nval:\ntest: null", ["x y", "z"]),
        ("names: [a, b]\ntrain: lists/train.txt\n", ["a", "b"]),
        ("names: [a, b]\n", ["a", "b"]),
        ("names: [a, b]\ntrain: ./Images\n", ["a", "b"]),
    ],
)
def test_data_yaml_has_many_forms(tmp_path: Path, config: str, names: list[str]) -> None:
    root = one_image(tmp_path, "0 0.5 0.5 0.2 0.4", config)
    save(root / "my.names", "x  y\nz\n\n")
    save(root / "lists" / "train.txt", "/datasets/me/set/images/one.png\n")
    layout = recognised(root)
    assert list(layout.splits) == ["train"]
    assert layout.description == "YOLO labels (data.yaml)"
    file = read(root)
    assert list(file.categories.values()) == names
    assert len(file.boxes) == 4


def test_a_list_may_name_images_that_are_missing(tmp_path: Path) -> None:
    root = one_image(tmp_path, "0 0.5 0.5 0.2 0.4", "names: [a]\ntrain: train.txt\n")
    save(root / "train.txt", "./images/one.png\n./pictures/two.png\n")
    entries = recognised(root).splits["train"].read()
    names = [value["file_name"] for key, number, value in entries if key == "images" and number >= 0]
    assert names == ["images/one.png", "pictures/two.png"]


def test_a_split_whose_folder_is_missing_is_not_looked_for_in_another_split(tmp_path: Path) -> None:
    root = one_image(tmp_path, "0 0.5 0.5 0.2 0.4", "names: [a]\ntrain: /data/images\nval: /data/valid/images\n")
    assert list(recognised(root).splits) == ["train"]
    assert [(one.code, one.example) for one in read(root).findings] == [("split-not-found", "/data/valid/images")]


def test_the_same_images_for_training_and_validation_are_for_training(tmp_path: Path) -> None:
    root = one_image(tmp_path, "0 0.5 0.5 0.2 0.4", "names: [a]\ntrain: images\nval: images\n")
    assert list(recognised(root).splits) == ["train"]
    assert [one.code for one in read(root).findings] == ["same-images-for-validation"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("names: [a\ntrain: images\n", "data.yaml is not valid YAML"),
        ("names: [[a], b]\ntrain: images\n", "one name for each class"),
        ("names: {a: b}\ntrain: images\n", "class numbers"),
        ("names: coco.names\ntrain: images\n", "no file coco.names"),
        ("names: [a]\ntrain: pictures\n", "data.yaml names pictures, but there is no such folder"),
    ],
)
def test_a_damaged_data_yaml_is_named(tmp_path: Path, config: str, message: str) -> None:
    one_image(tmp_path, "0 0.5 0.5 0.2 0.4", config)
    with pytest.raises(DataError) as error:
        read(tmp_path)
    assert message in str(error.value)


def test_a_test_split_alone(tmp_path: Path) -> None:
    root = one_image(tmp_path, "0 0.5 0.5 0.2 0.4", "names: [a]\ntest: images\n")
    assert list(recognised(root).splits) == ["test"]
    assert not read(root, "test").findings


def test_data_yaml_itself_is_not_a_source(tmp_path: Path) -> None:
    one_image(tmp_path, "0 0.5 0.5 0.2 0.4")
    with pytest.raises(DataError, match=r"data\.yaml is a file; give the folder"):
        find_layout(tmp_path / "data.yaml", CocoOptions())


def test_without_names_classes_are_named_by_their_numbers_in_all_splits(tmp_path: Path) -> None:
    drawn_layouts.write_yolo_of_ultralytics(tmp_path)
    (tmp_path / "fruit.yaml").unlink()
    layout = recognised(tmp_path)
    assert "named by their numbers" in layout.description
    for split in ("train", "validation"):
        assert read(tmp_path, split).categories == {1: "0", 2: "1", 3: "2"}


def test_names_beside_images_may_grow_but_not_differ(tmp_path: Path) -> None:
    for folder, names in (("x", CLASSES[:2]), ("y", CLASSES)):
        drawn_layouts.write_yolo_of_labelimg(tmp_path / folder)
        save(tmp_path / folder / "classes.txt", "\n".join(names))
    assert list(read(tmp_path).categories.values()) == list(CLASSES)
    save(tmp_path / "x" / "classes.txt", "plum\napple\n")
    with pytest.raises(DataError, match=r"classes\.txt and .*classes\.txt name the classes differently"):
        recognised(tmp_path)


def test_labels_of_another_folder_are_not_taken(tmp_path: Path) -> None:
    """Videos have the same frame numbers; the images of the second have no labels."""
    for folder in ("x", "y"):
        save_images(tmp_path / "images" / folder, [ONE])
    save(tmp_path / "labels" / "x" / "one.txt", "0 0.5 0.5 0.2 0.4")
    save(tmp_path / "data.yaml", "names: [a]\ntrain: images\n")
    file = read(tmp_path)
    assert file.image_names == ["x/one.png", "y/one.png"]
    assert list(file.annotation_images) == [1]


def test_one_split_alone_is_for_training(tmp_path: Path) -> None:
    drawn_layouts.write_yolo_of_roboflow(tmp_path / "all")
    shutil.move(tmp_path / "all" / "valid", tmp_path / "valid")
    assert list(recognised(tmp_path / "valid").splits) == ["train"]


def test_coordinates_in_pixels_are_named_as_such_without_a_configuration(tmp_path: Path) -> None:
    root = one_image(tmp_path, "0 50 25 10 10\n")
    (root / "data.yaml").unlink()
    save(root / "labels.txt", "a\nb\n")
    file = read(root)
    assert "not fractions" in file.faults[0]["reason"]
    assert list(file.categories.values()) == ["a", "b"]


def test_names_of_classes_may_be_beside_a_single_split(tmp_path: Path) -> None:
    drawn_layouts.write_yolo_of_roboflow(tmp_path)
    assert recognised(tmp_path / "valid").description == "YOLO labels (../data.yaml)"
    assert list(read(tmp_path / "valid").categories.values()) == list(CLASSES)


def test_exif_data_may_be_ignored(tmp_path: Path) -> None:
    root = one_image(tmp_path, "0 0.5 0.5 0.2 0.4")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (100, 50)).save(root / "images" / "one.png", exif=exif)
    layout = yolo.recognise(Catalog(open_tree(root)), "ignore")
    assert layout is not None
    assert list(read_annotations(layout.splits["train"].read(), "labels").boxes) == pytest.approx((40, 15, 20, 20))


def test_texts_that_are_no_labels_are_something_else(tmp_path: Path) -> None:
    save_images(tmp_path / "images", [ONE])
    save(tmp_path / "images" / "one.txt", "a photograph of a cat, 2024")
    save(tmp_path / "README.txt", "0 1 2 3 4")
    assert yolo.recognise(Catalog(open_tree(tmp_path))) is None


def test_configured_images_without_any_label_file_are_an_error(tmp_path: Path) -> None:
    save_images(tmp_path / "images", [ONE])
    save(tmp_path / "classes.txt", "a")
    save(tmp_path / "data.yaml", "names: [a]\ntrain: images\n")
    with pytest.raises(DataError, match=r"1 images, but none has a label file; expected .*/labels/one\.txt"):
        recognised(tmp_path)


def test_the_folder_of_a_set_may_lie_beside_its_configuration(tmp_path: Path) -> None:
    (tmp_path / "coco8").mkdir()
    source = one_image(tmp_path / "coco8", "1 0.5 0.5 0.2 0.4")
    (source / "data.yaml").unlink()
    save(tmp_path / "coco8.yaml", "path: ../datasets/coco8\ntrain: images\nnames: {0: a, 1: b}\n")
    assert list(read(tmp_path).boxes) == pytest.approx((40, 15, 20, 20))
