"""Flat folders of images with the files of labels that people write."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from layout_cases import Contents, Files, codes, contents, csv, find, images, write, write_zip

from data_prep.classification.label_matching import sort_classes
from mnasnet_cli.errors import DataError

NAMES = [f"{number:02d}.jpg" for number in range(12)]
CLASSES = ("golden retriever", "tench, Tinca tinca", "Größe 1", 'say "hi"')
LABELS = dict(zip(NAMES, itertools.cycle(CLASSES)))
STEMS = [(name[:-4], label) for name, label in LABELS.items()]
EXPECTED = {label: [name for name in NAMES if LABELS[name] == label] for label in CLASSES}


def quoted(rows: Iterable[Iterable[str]], delimiter: str = ",", end: str = "\n") -> str:
    return "".join(delimiter.join('"' + cell.replace('"', '""') + '"' for cell in row) + end for row in rows)


def names_by_split(found: Contents) -> dict[str, list[str]]:
    return {split: sorted(itertools.chain(*classes.values())) for split, classes in found.items()}


def flat(root: Path, files: Files | None = None) -> Path:
    return write(root, images(*NAMES) | dict(files or {}))


ROWS = list(LABELS.items())
TABLES = {
    "header": quoted([("image", "label"), *ROWS]),
    "no header": quoted(ROWS),
    "other order": quoted([("breed", "id"), *((label, stem) for stem, label in STEMS)]),
    "semicolons": quoted([("Filename", "Category"), *ROWS], ";"),
    "semicolons without quotes": "\n".join(f"{name};{label}" for name, label in [("file_name", "class"), *ROWS]),
    "tabs": "\n".join(f"{name}\t{label}" for name, label in [("IMAGE_ID", "SPECIES"), *ROWS]),
    "tabs without header": "\n".join(f"{name}\t{label}" for name, label in ROWS),
    "byte order mark": "\ufeff" + quoted([("image", "label"), *ROWS]),
    "utf-16": quoted([("image", "label"), *ROWS], "\t").encode("utf-16"),
    "utf-16 big-endian": b"\xfe\xff" + quoted([("image", "label"), *ROWS], ";").encode("utf-16-be"),
    "CRLF": quoted([("image", "label"), *ROWS], end="\r\n"),
    "old Mac": quoted([("image", "label"), *ROWS], end="\r"),
    "blanks": quoted([("image", "label"), *ROWS], ", "),
    "more columns": quoted([("n", "Image Path", "width", "Class"), *(("7", a, "12", b) for a, b in ROWS)]),
    "folders": quoted([("path", "label"), *((f"C:\\data\\images\\{name}", label) for name, label in ROWS)]),
    "other folders": quoted([("path", "label"), *((f"./somewhere/{name}", label) for name, label in ROWS)]),
    "numbers without zeros": quoted([("id", "breed"), *((str(int(stem)), label) for stem, label in STEMS)]),
    "no suffix": quoted([("id", "breed"), *STEMS]),
    "own words": quoted([("Bild", "Rasse"), *ROWS]),
    "empty lines": "\n\n" + quoted([("image", "label"), *ROWS]).replace("\n", "\n\n") + ",\n",
    "shuffled": quoted([("image", "label"), *ROWS[::-1]]),
    "words": "\n".join(f"{name} {label}" for name, label in ROWS),
    "words without suffix": "\n".join(f"{stem}   {label}" for stem, label in STEMS),
    "in order": "\n".join(label for _, label in ROWS) + "\n",
    "in order with header": quoted([("label",), *((label,) for _, label in ROWS)]),
    "Excel's delimiter": "sep=;\r\n" + quoted([("image", "label"), *ROWS], ";"),
    "id and names": quoted([("id", "class_id", "class_name"), *((a, str(len(b)), b) for a, b in STEMS)]),
}


@pytest.mark.parametrize("table", TABLES)
def test_labels_in_any_file(tmp_path: Path, table: str) -> None:
    content = TABLES[table]
    labels = write(tmp_path / "labels", {"some.txt": content}) / "some.txt"
    source = find(flat(tmp_path / "set"), labels=labels)
    assert contents(source)["train"] == EXPECTED
    assert source.synsets == sorted(CLASSES)
    assert "labels of some.txt" in source.layout
    assert codes(source) == (["label-file-spelling"] if "zeros" in table else [])
    if table in ("header", "semicolons", "tabs", "utf-16", "no suffix"):  # found without the flag
        assert contents(find(flat(tmp_path / "other", {"labels.csv": content})))["train"] == EXPECTED


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", json.dumps(LABELS)),
        ("a.json", json.dumps([{"file_name": name, "label": label} for name, label in LABELS.items()])),
        ("a.jsonl", "".join(json.dumps({"file_name": name, "label": label}) + "\n" for name, label in LABELS.items())),
    ],
)
def test_labels_in_json(tmp_path: Path, name: str, content: str) -> None:
    labels = write(tmp_path / "labels", {name: content}) / name
    assert contents(find(flat(tmp_path / "set"), labels=labels))["train"] == EXPECTED


@pytest.mark.parametrize("columns", [("Bild", "Rasse"), ("bild", "RASSE"), ("2", "4"), ("2", "Rasse")])
def test_columns_may_be_named(tmp_path: Path, columns: tuple[str, str]) -> None:
    rows = [("label", "Bild", "image", "Rasse"), *(("x", name, "0.jpg", label) for name, label in ROWS)]
    labels = write(tmp_path / "labels", {"a.csv": quoted(rows)}) / "a.csv"
    source = find(flat(tmp_path / "set"), labels=labels, label_columns=columns)
    assert contents(source)["train"] == EXPECTED
    without_header = write(tmp_path / "labels", {"b.csv": quoted(rows[1:])}) / "b.csv"
    source = find(tmp_path / "set", labels=without_header, label_columns=("2", "4"))
    assert contents(source)["train"] == EXPECTED
    source = find(flat(tmp_path / "beside", {"labels.csv": quoted(rows)}), label_columns=columns)
    assert contents(source)["train"] == EXPECTED
    with pytest.raises(DataError, match=r"no column 'Rase' .*label, Bild, image, Rasse; did you mean 'Rasse'"):
        find(tmp_path / "set", labels=labels, label_columns=("Bild", "Rase"))
    with pytest.raises(DataError, match="no column '5'"):
        find(tmp_path / "set", labels=labels, label_columns=("Bild", "5"))


def test_a_column_may_name_the_split(tmp_path: Path) -> None:
    parts = ["train", "Valid", "TEST"]
    rows = [("image", "label", "split"), *((a, b, parts[n % 3]) for n, (a, b) in enumerate(ROWS))]
    source = find(flat(tmp_path, {"metadata.csv": quoted(rows)}))
    found = contents(source)
    assert names_by_split(found) == {"train": NAMES[0::3], "validation": NAMES[1::3], "test": NAMES[2::3]}


@pytest.mark.parametrize("place", ["", "images/", "train/"])
@pytest.mark.parametrize("stem", ["labels", "train", "annotations", "metadata", "trainLabels", "my"])
def test_label_files_are_found(tmp_path: Path, place: str, stem: str) -> None:
    name = f"{stem}.csv"
    files = images(*(f"{place}{name}" for name in NAMES))
    files[name] = quoted([("file_name", "label"), *ROWS])
    files["sample_submission.csv"] = quoted([("file_name", "label"), *((a, "x") for a in NAMES)])
    for root in (write(tmp_path / "set", files), write_zip(tmp_path / "set.zip", files)):
        source = find(root)
        assert contents(source)["train"] == EXPECTED
        assert f"with labels of {name} (columns file_name, label)" in source.layout


def test_hugging_faces_image_folder(tmp_path: Path) -> None:
    rows = [{"file_name": f"deep/{name}", "label": label, "text": "…"} for name, label in LABELS.items()]
    for split in ("train", "validation", "test"):
        write(tmp_path, images(*(f"data/{split}/deep/{name}" for name in NAMES)))
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        write(tmp_path, {f"data/{split}/metadata.jsonl": lines})
    assert contents(find(tmp_path)) == dict.fromkeys(["train", "validation", "test"], EXPECTED)


def test_roboflows_multi_label_export(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        write(tmp_path, images(*(f"{split}/{name}" for name in NAMES)))
        rows = [(name, str(int(n % 2 == 0)), str(int(n % 2 == 1))) for n, name in enumerate(NAMES)]
        write(tmp_path, {f"{split}/_classes.csv": csv([("filename", " cat", " dog"), *rows])})
    expected = {"cat": NAMES[::2], "dog": NAMES[1::2]}
    assert contents(find(tmp_path)) == {"train": expected, "validation": expected}
    rows[2] = (NAMES[2], "1", "1")
    write(tmp_path, {"valid/_classes.csv": csv([("filename", " cat", " dog"), *rows])})
    with pytest.raises(DataError, match=r"_classes\.csv, line 4: 2 classes are 1 \(cat, dog\); a classifier needs one"):
        find(tmp_path)
    rows[2] = (NAMES[2], "0", "0")
    write(tmp_path, {"valid/_classes.csv": csv([("filename", " cat", " dog"), *rows])})
    assert codes(find(tmp_path)) == ["unlabelled-image"]


def test_train_val_and_test_files_for_one_folder(tmp_path: Path) -> None:
    write(tmp_path, images(*(f"images/{name}" for name in NAMES)))
    header = ("filename", "label")
    for name, chosen in (("train", ROWS[:6]), ("val", ROWS[4:9]), ("test", ROWS[9:])):
        write(tmp_path, {f"{name}.csv": quoted([header, *(chosen if name != "val" else chosen[2:])])})
    found = contents(find(tmp_path))
    assert names_by_split(found) == {"train": NAMES[:6], "validation": NAMES[6:9], "test": NAMES[9:]}


def test_class_folders_with_flat_tests(tmp_path: Path) -> None:
    """The German traffic signs as Kaggle has them: numbers, and a table of the test images at the root."""
    rows = [("12", "3", f"Test/{n:05d}.png") for n in range(4)]
    files = images("Train/3/{1..2}.png", "Train/12/{1..2}.png", *(row[2] for row in rows), "Meta/{1..4}.png")
    files["Test.csv"] = csv([("Width", "ClassId", "Path"), *rows])
    source = find(write(tmp_path, files))
    assert contents(source)["test"] == {"3": [f"{n:05d}.png" for n in range(4)]}
    assert "left out: Meta/" in source.layout


def test_one_table_for_all_splits(tmp_path: Path) -> None:
    """Rows with folders belong to these; a row without one belongs to the training image of this name."""
    write(tmp_path, images("train/1.png", "train/2.png", "val/1.png", "test/1.png", "test/2.png"))
    table = {"labels.csv": csv([("image", "label"), ("train/1.png", "a"), ("2.png", "b"), ("val/1.png", "b")])}
    source = find(write(tmp_path, table))
    assert contents(source) == {"train": {"a": ["1.png"], "b": ["2.png"]}, "validation": {"b": ["1.png"]}}
    assert "left out: test/ (no labels)" in source.layout


def test_numbers_are_sorted_by_value_and_named(tmp_path: Path) -> None:
    rows = [(name, str(number)) for number, name in enumerate(NAMES)]
    root = flat(tmp_path / "a", {"labels.csv": csv([("image", "label"), *rows])})
    assert find(root).synsets == [str(number) for number in range(12)]
    (root / "classes.txt").write_text("".join(f"name {number}\n" for number in range(12)))
    assert find(root).texts == [f"name {number}" for number in range(12)]
    (root / "labels.csv").write_text(csv([("image", "label"), *((a, f"{int(b) + 1}.0") for a, b in rows)]))
    assert find(root).synsets == [str(number) for number in range(1, 13)]
    assert find(root).texts[0] == "name 0"
    (root / "classes.txt").unlink()
    names = {str(number): f"n{number}" for number in range(1, 13)}
    (root / "names.json").write_text(json.dumps({**names, "11": "\U0001f600", "12": "n\n\ud900"}))  # half a pair
    assert find(root).texts[9:] == ["n10", "\U0001f600", "n ?"]


def test_spellings_are_mended_and_counted(tmp_path: Path) -> None:
    write(tmp_path, images("Café 1.JPG", "b.png", "c d.jpg", "d.jpg", "e.jpg"))
    rows = [
        ("cafe\u0301 1.jpg", "x"),
        ("b.jpg", "x"),
        ("c%20d.jpg", "y"),
        ("d.jpg", "y"),
        ("d.jpg", "y"),
        ("f.jpg", "y"),
    ]
    source = find(write(tmp_path, {"labels.csv": csv([("image", "label"), *rows])}))
    assert contents(source)["train"] == {"x": ["Café 1.JPG", "b.png"], "y": ["c d.jpg", "d.jpg"]}
    assert {finding.code: finding.count for finding in source.findings} == {
        "label-file-spelling": 3, "label-repeated": 1, "labelled-file-missing": 1, "unlabelled-image": 1,
    }  # fmt: skip
    assert [f"{finding}".split(", for example")[1] for finding in source.findings][3] == " e.jpg"


def test_other_encodings_and_missing_quotes_are_mended(tmp_path: Path) -> None:
    rows = [("image", "label"), *ROWS]
    text = "\n".join(f"{name},{label}" for name, label in rows)
    source = find(flat(tmp_path / "a", {"labels.csv": text.encode("cp1252")}))
    assert contents(source)["train"] == EXPECTED
    assert codes(source) == ["label-file-encoding", "label-with-delimiter"]
    assert next(one for one in source.findings if one.code == "label-with-delimiter").count == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "01.jpg,cat\n02.jpg,dog\n1.jpg,cat\n01.jpg,dog\n",
            r"gives 01\.jpg two labels: 'cat' in line 1 and 'dog' in line 4",
        ),
        ("image,label\n", "is empty"),
        ("", "is empty"),
        (b"\xff\xd8\xff", "is not a text file"),
        (b"PK\3\4\0\0", "is not a text file, but a workbook or a zip; save the table as CSV"),
        ("cat\n", "1 labels for 12 flat images"),
        ("n1\n01.jpg n1\n", "line 2: some lines have a file name and some have none"),
        ("a.jpg n1\n", r"12 of 12 images in .*set have no label in .*, for example 00\.jpg"),
        ("image,label\n01.jpg,cat\n", r"11 of 12 images .* no label in .*, for example 00\.jpg"),
        ("image,a,b\n01.jpg,3,4\n", r"which of the columns image, a, b .*--label-columns FILE,LABEL"),
        ("01.jpg,3,4\n02.jpg,4,4\n", r"3 columns and no header; .*--label-columns FILE,LABEL"),
        ("image,a,label\n01.jpg,3,4,5\n02.jpg,3,4\n", r"line 2: 4 columns, but the first line has 3"),
        ('image,label\n01.jpg,"cat\n02.jpg,dog\n', r"no label in"),
        (
            "image,label,split\n01.jpg,a,train\n02.jpg,b,extra\n",
            r"line 3: the split is 'extra'; expected train, val, test",
        ),
        (None, "cannot read .*: no such file"),
    ],
)
def test_invalid_label_files(tmp_path: Path, content: str | bytes | None, message: str) -> None:
    labels = tmp_path / "labels.txt"
    if content is not None:
        write(tmp_path, {"labels.txt": content})
    with pytest.raises(DataError, match=message):
        find(flat(tmp_path / "set"), labels=labels)


def test_labels_of_other_classes(tmp_path: Path) -> None:
    write(tmp_path / "set", images("train/n90000001/1.jpg", "train/n90000002/1.jpg", "val/1.jpg", "val/2.jpg"))
    labels = write(tmp_path, {"labels": "n90000001\nn9000002\n"}) / "labels"
    with pytest.raises(DataError, match=r"line 2: 'n9000002' .* 2 classes .*did you mean 'n90000002'"):
        find(tmp_path / "set", labels=labels)


def test_labels_for_folders_that_are_no_classes(tmp_path: Path) -> None:
    """With --labels, folders of parts are not classes; without it, or with another file, it is an error."""
    write(tmp_path / "set", images("part1/{1..2}.jpg", "part2/{3..4}.jpg"))
    rows = [(f"{number}", "ab"[number % 2]) for number in range(1, 5)]
    labels = write(tmp_path, {"metadata.csv": csv([("image_id", "dx"), *rows])}) / "metadata.csv"
    assert contents(find(tmp_path / "set", labels=labels))["train"] == {
        "a": ["2.jpg", "4.jpg"],
        "b": ["1.jpg", "3.jpg"],
    }
    write(tmp_path / "other", images("train/cat/x.jpg", "val/cat/y.jpg"))
    with pytest.raises(DataError, match="no label in"):
        find(tmp_path / "other", labels=labels)


def test_folders_that_are_parts_of_a_set(tmp_path: Path) -> None:
    """The skin lesions as Kaggle has them: two folders of images, and a table with an unusual name."""
    rows = [(f"ISIC_{number}", "ab"[number % 2]) for number in range(1, 5)]
    write(tmp_path, images("HAM10000_images_part_1/ISIC_{1..2}.jpg", "HAM10000_images_part_2/ISIC_{3..4}.jpg"))
    write(tmp_path, {"HAM10000_metadata.csv": csv([("image_id", "dx"), *rows])})
    assert contents(find(tmp_path))["train"] == {"b": ["ISIC_1.jpg", "ISIC_3.jpg"], "a": ["ISIC_2.jpg", "ISIC_4.jpg"]}


def test_test_images_that_a_list_names_without_labels(tmp_path: Path) -> None:
    """Plant pathology as Kaggle has it: the test images lie among the others, and labels are columns of 0 and 1."""
    write(tmp_path, images("images/Train_{1..4}.jpg", "images/Test_{1..9}.jpg"))
    rows = [(f"Train_{number}", str(number % 2), str(1 - number % 2)) for number in range(1, 5)]
    write(tmp_path, {"train.csv": csv([("image_id", "rust", "scab"), *rows])})
    write(tmp_path, {"test.csv": csv([("image_id",), *((f"Test_{number}",) for number in range(1, 10))])})
    source = find(tmp_path)
    assert contents(source)["train"] == {"rust": ["Train_1.jpg", "Train_3.jpg"], "scab": ["Train_2.jpg", "Train_4.jpg"]}
    assert [(finding.code, finding.count) for finding in source.findings] == [("unlabelled-test-image", 9)]


def test_a_label_file_may_be_named_from_the_source(tmp_path: Path) -> None:
    root = flat(tmp_path / "set", {"my/list.tab": TABLES["tabs"]})
    assert contents(find(root, labels=Path("my/list.tab")))["train"] == EXPECTED


def test_a_table_that_contradicts_the_class_folders(tmp_path: Path) -> None:
    names = ["a/1.jpg", "a/2.jpg", "b/3.jpg", "b/4.jpg"]
    root = write(tmp_path, images(*(f"images/{name}" for name in names)))
    write(root, {"labels.csv": csv([("image", "label"), *zip(names, "0011", strict=True)])})
    assert not codes(find(root))
    write(root, {"labels.csv": csv([("image", "label"), *zip(names, "xyxy", strict=True)])})
    assert codes(find(root)) == ["labels-beside-class-folders"]
    assert find(root).synsets == ["a", "b"]
    assert find(root, labels=root / "labels.csv").synsets == ["x", "y"]


def test_each_split_may_have_a_table_of_all_images(tmp_path: Path) -> None:
    table = quoted([("image", "label"), *ROWS, ("13.jpg", "other")])
    write(tmp_path, images(*(f"train/{name}" for name in NAMES[:8]), *(f"valid/{name}" for name in NAMES[8:])))
    source = find(write(tmp_path, {"train/labels.csv": table, "valid/labels.csv": table}))
    assert names_by_split(contents(source)) == {"train": NAMES[:8], "validation": NAMES[8:]}
    assert [(finding.code, finding.count) for finding in source.findings] == [("labelled-file-missing", 2)]
    assert source.layout.count("labels.csv") == 1


def test_numbers_as_names_and_as_labels(tmp_path: Path) -> None:
    write(tmp_path, images("{0..7}.jpg"))
    rows = [(str(number % 3), f"{number}.jpg") for number in range(8)]
    source = find(write(tmp_path, {"labels.csv": csv(rows)}))
    assert contents(source)["train"]["2"] == ["2.jpg", "5.jpg"]
    source = find(write(tmp_path, {"labels.csv": csv((f"{number}", f"{number % 3}") for number in range(8))}))
    assert contents(source)["train"]["2"] == ["2.jpg", "5.jpg"]


def test_line_breaks_in_labels_become_blanks(tmp_path: Path) -> None:
    write(tmp_path, images("{0..2}.jpg"))
    source = find(write(tmp_path, {"labels.csv": 'image,label\n0.jpg,"a\nb"\n1.jpg,"c\td"\n2.jpg,c d\n'}))
    assert source.synsets == ["a b", "c d"]


@pytest.mark.parametrize("objects", ['{"bbox": [[1, 2, 3, 4]], "categories": [0]}', "[3, 5]", "[]"])
def test_boxes_and_lists_are_not_classes(tmp_path: Path, objects: str) -> None:
    lines = "".join(f'{{"file_name": "{name}", "objects": {objects}}}\n' for name in NAMES)
    root = flat(tmp_path, {"metadata.jsonl": lines})
    with pytest.raises(DataError, match="no class for each image, but lists or objects"):
        find(root)


def test_classes_of_too_many_digits_are_names() -> None:
    long = "1" + "0" * 4999
    assert sort_classes(["10", long, "9"]) == ["10", long, "9"]
    assert sort_classes(["10", "-1", "9"]) == ["-1", "9", "10"]
