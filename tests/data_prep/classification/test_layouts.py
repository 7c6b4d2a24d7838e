"""What sources in all kinds of layouts are taken for."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
from layout_cases import Files, codes, contents, counted, csv, find, images, write, write_zip

from mnasnet_cli.errors import DataError

CATS_AND_DOGS = images("cat/{1..3}.jpg", "dog/{1..2}.jpg")
COUNTS = {"cat": 3, "dog": 2}


def below(folder: str, files: Files) -> dict[str, str | bytes]:
    return {f"{folder}/{name}": content for name, content in files.items()}


def splits(*names: str) -> dict[str, str | bytes]:
    return {path: content for name in names for path, content in below(name, CATS_AND_DOGS).items()}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["train", "val"], "train validation"),
        (["Train", "Valid", "TEST"], "train validation test"),
        (["training", "validation", "testing"], "train validation test"),
        (["Training", "Testing"], "train test"),
        (["training_set", "test_set"], "train test"),
        (["train", "dev"], "train validation"),
        (["train", "eval", "test"], "train validation test"),
        (["seg_train/seg_train", "seg_test/seg_test"], "train test"),
        (["train/train", "val/val"], "train validation"),
        (["train/images", "val/images"], "train validation"),
        (["train_mini", "val"], "train validation"),
        (["chest_xray/train", "chest_xray/val", "chest_xray/test"], "train validation test"),
        (["data/Dataset/train", "data/Dataset/val"], "train validation"),
        (["val"], "validation"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_folders_of_splits(tmp_path: Path, names: list[str], expected: str, packed: bool) -> None:
    files = splits(*names)
    source = find(write_zip(tmp_path / "set.zip", files) if packed else write(tmp_path / "set", files))
    assert counted(contents(source)) == dict.fromkeys(expected.split(), COUNTS)
    assert source.synsets == ["cat", "dog"]
    assert source.layout.startswith("class folders in ")
    assert all(f"{name.split('/')[0]}/" in source.layout for name in names)
    assert source.layout.endswith(": 2 classes")
    assert not codes(source)


EVERY_SUFFIX = ["jpg", "JPEG", "jfif", "jpe", "png", "gif", "bmp", "webp", "tif", "TIFF", "avif", "heic", "HEIF"]
SYSTEM_FILES = (
    "cat/Thumbs.db", "cat/.DS_Store", "__MACOSX/cat/._1.jpg", ".ipynb_checkpoints/cat/1.jpg", "cat/__MACOSX/1.jpg",
    "lost+found/1.jpg", "desktop.ini",
)  # fmt: skip
PETS = images("images/Abyssinian_{1..3}.jpg", "images/american_bulldog_{10..12}.jpg")
DEEP = images("cat/1.jpg", "cat/b/2.jpg", "cat/b/c/3.jpg", "dog/x/1.jpg", "dog/y/1.jpg")
TRIMAPS = images("annotations/trimaps/Abyssinian_{1..3}.png") | {"annotations/list.txt": "Abyssinian_1 1 1 1"}


@pytest.mark.parametrize(
    ("files", "expected", "words"),
    [
        (CATS_AND_DOGS, COUNTS, "class folders without splits: 2 classes"),
        (below("flowers/flowers", CATS_AND_DOGS), COUNTS, "class folders in flowers/flowers/"),
        (below("EuroSAT/2750", CATS_AND_DOGS), COUNTS, "without splits"),
        (below("images", CATS_AND_DOGS), COUNTS, "class folders in images/"),
        (CATS_AND_DOGS | {"docs/a.txt": "x", "README.md": "x"}, COUNTS, "left out: docs/ (no images)"),
        (CATS_AND_DOGS | below("pets", CATS_AND_DOGS), COUNTS, "left out: pets/ (the other folders again)"),
        (below("Images", CATS_AND_DOGS) | {"Annotation/cat/1": "x", "lists/a.mat": "x"}, COUNTS, "in Images/"),
        (images("0/{1..2}.png", "1/1.png", "10/1.png"), {"0": 2, "1": 1, "10": 1}, "3 classes"),
        (images("Größe 1/ä.JPG", "b c, d/1.jpg"), {"Größe 1": 1, "b c, d": 1}, "2 classes"),
        (images("bus/{1..2}.jpg", "train/{1..2}.jpg"), {"bus": 2, "train": 2}, "without splits"),
        (images("cat/{1..2}.jpg"), {"cat": 2}, "1 class"),
        (
            below("part_1", CATS_AND_DOGS) | below("part_2", CATS_AND_DOGS),
            {"cat": 6, "dog": 4},
            "from 2 folders such as",
        ),
        (DEEP, COUNTS, "4 images in subfolders are of the class of the folder above"),
        (images(*(f"cat/{one}.{one}" for one in EVERY_SUFFIX), "dog/1.Jpg"), {"cat": 13, "dog": 1}, "2 classes"),
        (CATS_AND_DOGS | dict.fromkeys(SYSTEM_FILES, "x"), COUNTS, "without splits: 2 classes"),
        (images("cat.{0..2}.jpg", "dog.{0..1}.jpg"), COUNTS, "labels of their file names"),
        (images("train/cat.{0..2}.jpg", "train/dog.{0..1}.jpg"), COUNTS, "images in train/ with labels of their file"),
        (images("cat ({1..3}).jpg", "dog ({1..2}).jpg"), COUNTS, "labels of their file names"),
        (images("v_{1..2}_n01440764.JPEG", "v_{3..4}_n02102040.JPEG"), {"n01440764": 2, "n02102040": 2}, "file names"),
        (PETS, {"Abyssinian": 3, "american_bulldog": 3}, "images in images/ with labels of their file names"),
        (PETS | TRIMAPS, {"Abyssinian": 3, "american_bulldog": 3}, "labels of their file names"),
    ],
)
def test_one_split(tmp_path: Path, files: Files, expected: dict[str, int], words: str) -> None:
    for root in (write(tmp_path / "folder", files), write_zip(tmp_path / "set.zip", files)):
        source = find(root)
        assert counted(contents(source)) == {"train": expected}
        assert words in source.layout
        assert not codes(source)
        assert source.ignored == 0


def test_a_share_becomes_the_validation_split(tmp_path: Path) -> None:
    files = images("cat/{1..40}.jpg", "dog/{1..30}.jpg")
    source = find(write(tmp_path, files), val_fraction=0.2)
    found = counted(contents(source))
    assert found["train"]["cat"] + found["validation"]["cat"] == 40
    assert found["train"]["dog"] + found["validation"]["dog"] == 30
    assert 7 <= sum(found["validation"].values()) <= 21
    assert codes(source) == ["validation-share"]


def test_splits_in_class_folders(tmp_path: Path) -> None:
    source = find(
        write(tmp_path, images("cat/train/{1..3}.jpg", "cat/test/1.jpg", "dog/Train/1.jpg", "dog/Test/1.jpg"))
    )
    assert counted(contents(source)) == {"train": {"cat": 3, "dog": 1}, "test": {"cat": 1, "dog": 1}}


def test_zips_of_splits_and_of_classes(tmp_path: Path) -> None:
    for name, inside in (("train", "train"), ("val", "")):
        write_zip(tmp_path / "a" / f"{name}.zip", below(inside, CATS_AND_DOGS) if inside else CATS_AND_DOGS)
    source = find(tmp_path / "a")
    assert counted(contents(source)) == {"train": COUNTS, "validation": COUNTS}
    assert source.tables["train"].path(0) == str(tmp_path / "a" / "train.zip" / "train" / "cat" / "1.jpg")
    write_zip(tmp_path / "b" / "archive.zip", splits("train", "test"))
    assert counted(contents(find(tmp_path / "b"))) == {"train": COUNTS, "test": COUNTS}
    for name in ("cat", "dog"):
        write_zip(tmp_path / "c" / f"{name}.zip", images(f"{name}s/{{1..2}}.jpg"))
    assert counted(contents(find(tmp_path / "c"))) == {"train": {"cat": 2, "dog": 2}}
    write(tmp_path / "d", splits("train", "val"))
    write_zip(tmp_path / "d" / "archive.zip", splits("train", "val"))
    assert counted(contents(find(tmp_path / "d"))) == {"train": COUNTS, "validation": COUNTS}
    write(tmp_path / "e" / "images", {})
    write_zip(tmp_path / "e" / "images.zip", images("images/{1..4}.jpg"))
    write(tmp_path / "e", {"labels.csv": csv([["image", "label"], *((f"{n}.jpg", "ab"[n % 2]) for n in range(1, 5))])})
    assert counted(contents(find(tmp_path / "e"))) == {"train": {"a": 2, "b": 2}}


def test_an_unlabelled_test_folder_is_left_out(tmp_path: Path) -> None:
    root = write(tmp_path, splits("train", "val") | images("test/{1..3}.jpg"))
    source = find(root)
    assert list(source.tables) == ["train", "validation"]
    assert "left out: test/ (no labels)" in source.layout
    dogs = write(tmp_path / "dogs", images("train/cat.{0..2}.jpg", "train/dog.{0..2}.jpg", "test1/{1..4}.jpg"))
    assert list(find(dogs).tables) == ["train"]
    assert "left out: test1/ (no labels)" in find(dogs).layout


def test_kaggles_imagenet_from_its_root(tmp_path: Path) -> None:
    data = "ILSVRC/Data/CLS-LOC"
    val = [("ILSVRC2012_val_1", "n2"), ("ILSVRC2012_val_2", "n1"), ("ILSVRC2012_val_3", "n2")]
    root = write(
        tmp_path,
        {
            **images(f"{data}/train/n1/n1_{{1..3}}.JPEG", f"{data}/train/n2/n2_1.JPEG", f"{data}/test/t_{{1..5}}.JPEG"),
            **images(*(f"{data}/val/{name}.JPEG" for name, _ in val)),
            "ILSVRC/Annotations/CLS-LOC/train/n1/n1_1.xml": "<annotation/>",
            "ILSVRC/ImageSets/CLS-LOC/train_cls.txt": "n1/n1_1 1\n",
            "LOC_val_solution.csv": csv([["ImageId", "PredictionString"], *((a, f"{b} 1 2 3 4 ") for a, b in val)]),
            "LOC_train_solution.csv": csv([["ImageId", "PredictionString"], ["n1_1", "n1 1 2 3 4 n1 1 2 3 4 "]]),
            "LOC_sample_submission.csv": csv([["ImageId", "PredictionString"], ["t_1", "n1 1 2 3 4"]]),
            "LOC_synset_mapping.txt": "n1 tench, Tinca tinca\nn2 goldfish\nn3 other\n",
        },
    )
    source = find(root)
    assert counted(contents(source)) == {"train": {"n1": 3, "n2": 1}, "validation": {"n2": 2, "n1": 1}}
    assert contents(source)["validation"]["n1"] == ["ILSVRC2012_val_2.JPEG"]
    assert source.texts == ["tench, Tinca tinca", "goldfish"]
    assert f"left out: {data}/test/ (no labels)" in source.layout
    assert not codes(source)


def test_tiny_imagenet_as_published(tmp_path: Path) -> None:
    root = "tiny-imagenet-200"
    boxes = csv([["n1_0.JPEG", "0", "10", "63", "63"]], "\t")
    files = {
        **images(f"{root}/train/n1/images/n1_{{0..2}}.JPEG", f"{root}/train/n2/images/n2_{{0..1}}.JPEG"),
        **images(f"{root}/val/images/val_{{0..2}}.JPEG", f"{root}/test/images/test_{{0..3}}.JPEG"),
        f"{root}/train/n1/n1_boxes.txt": boxes,
        f"{root}/train/n2/n2_boxes.txt": boxes,
        f"{root}/val/val_annotations.txt": csv(
            [[f"val_{n}.JPEG", label, "0", "32", "44", "62"] for n, label in enumerate(("n2", "n1", "n2"))], "\t"
        ),
        f"{root}/wnids.txt": "n2\nn1\n",
        f"{root}/words.txt": "n0\tentity\nn1\tgoldfish, Carassius auratus\nn2\tbrain coral\n",
    }
    for place in (write(tmp_path / "set", files), write_zip(tmp_path / "tiny-imagenet-200.zip", files)):
        source = find(place)
        assert counted(contents(source)) == {"train": {"n1": 3, "n2": 2}, "validation": {"n2": 2, "n1": 1}}
        assert source.texts == ["goldfish, Carassius auratus", "brain coral"]
        assert "5 images in subfolders" in source.layout
        assert "val_annotations.txt" in source.layout
        assert "test/images/ (no labels)" in source.layout


def test_class_names_that_differ_between_splits(tmp_path: Path) -> None:
    source = find(
        write(tmp_path, images("train/Café/1.jpg", "train/dog/1.jpg", "val/Cafe\u0301/1.jpg", "val/Dog/1.jpg"))
    )
    assert counted(contents(source))["validation"] == {"Café": 1, "dog": 1}
    assert codes(source) == ["class-name-spelling"]
    words = images("a/train/golden_retriever/1.jpg", "a/val/Golden Retriever/1.jpg")
    assert counted(contents(find(write(tmp_path / "words", words))))["validation"] == {"golden_retriever": 1}
    assert next(iter(source.findings)).count == 2
    with pytest.raises(DataError, match=r"'dogs' is not among the 2 classes of train; did you mean 'dog'"):
        find(write(tmp_path, images("val/dogs/1.jpg")))


GROUPS = ("bird/owl", "bird/kite", "fish/cod", "fish/eel")


def test_what_is_odd_is_said(tmp_path: Path) -> None:
    files = images("train/cat/1.jpg", "train/Cat/1.jpg", "train/x.jpg", "val/cat/1.jpg", "val/Cat/1.jpg")
    root = write(tmp_path / "a", files)
    (root / "val" / "dog").mkdir()
    with pytest.raises(DataError, match="'dog' is not among"):
        find(root)
    (root / "val" / "dog").rmdir()
    shutil.rmtree(root / "val" / "cat")
    (root / "val" / "cat").mkdir()
    assert codes(find(root)) == ["image-without-class", "empty-class-folder", "similar-class-names"]
    (root / "train" / "empty").mkdir()
    with pytest.raises(DataError, match=r"class empty has no images in .*train/empty"):
        find(root)
    source = find(write(tmp_path / "b", images(*(f"{name}/1.jpg" for name in GROUPS))))
    assert source.synsets == ["bird", "fish"]
    assert codes(source) == ["classes-of-classes"]


def test_links_to_folders_are_followed(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", CATS_AND_DOGS)
    (tmp_path / "set" / "train").mkdir(parents=True)
    (tmp_path / "set" / "train" / "cat").symlink_to(tmp_path / "elsewhere" / "cat")
    (tmp_path / "set" / "train" / "dog").symlink_to(tmp_path / "elsewhere" / "dog")
    assert counted(contents(find(tmp_path / "set"))) == {"train": COUNTS}


YOLO = images("train/images/{1..3}.jpg") | {"train/labels/1.txt": "0 0 0 1 1", "data.yaml": "names: [a]"}
BOXES = "filename,class,xmin,ymin,xmax,ymax\n1.jpg,a,1,2,3,4\n"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"no images in .*set \(it holds nothing\): expected train/<class>"),
        ({"a.txt": "x", "b/c.txt": "x"}, r"no images in .*it holds b/, a\.txt"),
        (images("{1..3}.jpg"), r"set has 3 images, but no class folders and no file with labels; .*--labels"),
        (images("IMG_{1..3}.jpg", "DSC_{1..3}.jpg"), "--labels FILE"),
        (
            splits("train") | images("val/{1..3}.jpg"),
            "val has no class folders; name the file with the labels: --labels",
        ),
        (images("images/{1..3}.jpg") | {"annotations/instances.json": "{}"}, "prepare-coco"),
        (images("images/{1..3}.jpg") | {"labels/1.txt": "0 0 0 1 1"}, "prepare-coco"),
        (images("JPEGImages/{1..3}.jpg") | {"Annotations/1.xml": "<a/>"}, "prepare-coco"),
        (images("train/{1..3}.jpg") | {"train/_annotations.coco.json": "{}"}, "prepare-coco"),
        (YOLO, "prepare-coco"),
        (
            images("train/{1..3}.jpg") | dict.fromkeys(["train/1.xml", "train/2.xml", "train/3.xml"], "<a/>"),
            "1.xml beside",
        ),
        (images("jpg/{1..3}.jpg") | {"labels.mat": "x"}, r"--labels FILE \(perhaps .*labels\.mat, saved as CSV\)"),
        (images("images/{1..3}.jpg") | {"result.json": "{}"}, "prepare-coco"),
        (images("{1..2}.jpg") | {"labels.csv": BOXES}, r"labels\.csv has boxes .*prepare-coco"),
        (
            splits("a/train", "a/val") | below("b", CATS_AND_DOGS),
            r"several sets: a has folders for train and validation",
        ),
        ({"set.tgz": "x"}, r"set\.tgz; unpack it first"),
        ({"a.zip": b"PK"}, "not a complete zip"),
        (splits("Train", "TRAIN"), r"two folders for train in .*: TRAIN and Train"),
    ],
)
def test_errors_say_what_to_do(tmp_path: Path, files: Files, message: str) -> None:
    (tmp_path / "set").mkdir()
    with pytest.raises(DataError, match=message):
        find(write(tmp_path / "set", files))


def test_a_source_that_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder"):
        find(tmp_path / "nothing")
    (tmp_path / "a.tgz").write_text("x")
    with pytest.raises(DataError, match=r"a\.tgz is not a folder or a zip; unpack it first"):
        find(tmp_path / "a.tgz")


def test_a_folder_and_a_tar(tmp_path: Path) -> None:
    root = write(tmp_path, splits("train"))
    write(tmp_path / "v", images("1.jpg", "2.jpg"))
    with tarfile.open(root / "ILSVRC2012_img_val.tar", "w") as tar:
        for name in ("1.jpg", "2.jpg"):
            tar.add(tmp_path / "v" / name, name)
    shutil.rmtree(tmp_path / "v")
    (root / "labels.txt").write_text("dog\ncat\n")
    assert counted(contents(find(root, labels=root / "labels.txt")))["validation"] == {"dog": 1, "cat": 1}


@pytest.mark.slow
def test_sixteen_thousand_classes(tmp_path: Path) -> None:
    zipped = write_zip(tmp_path / "set.zip", {f"{split}/{n:05d}/1.jpg": "content of 1.jpg" for n in range(16_000)
                                              for split in ("train", "val")})  # fmt: skip
    source: Any = find(zipped)
    assert len(source.synsets) == 16_000
    assert source.tables["validation"].labels[-1] == 16_000


@pytest.mark.parametrize("name", ["meta/train.txt", "meta/train.json", "train_test_split.txt", "TrainImages.txt"])
def test_lists_of_splits_that_are_not_read_are_said(tmp_path: Path, name: str) -> None:
    files = images("images/pie/{1..3}.jpg", "images/cake/{1..3}.jpg")
    assert not codes(find(write(tmp_path / "plain", files)))
    source = find(write(tmp_path / "listed", files | {name: "pie/1\n"}))
    assert codes(source) == ["split-list-not-read"]
    assert list(source.tables) == ["train"]
