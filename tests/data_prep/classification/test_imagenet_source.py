"""ImageNet-style sources: folders and tars give the same records, and errors name the file."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
from folder_contents import contents, contents_without_layout
from imagenet_cases import prepare

from data_prep.writing.shard_job import BadImageError
from mnasnet_cli.errors import DataError
from mnasnet_cli.records import dataset_info, shards, tfrecord


def test_records_hold_every_image_once(pristine_imagenet: Path, imagenet_records: Path) -> None:
    info = dataset_info.load_dataset_info(imagenet_records)
    assert info.classes == 3
    assert info.texts == ("circle", "square", "triangle")
    assert info.synsets == ("n90000001", "n90000002", "n90000003")
    assert info.splits["train"].shard_examples == (9, 9, 9, 9)
    assert dict(info.splits["validation"].per_class) == {"n90000001": 4, "n90000002": 4, "n90000003": 4}
    assert info.image_sizes["width"] == {"min": 32, "mean": 32.0, "max": 32}
    seen = {}
    labels = []
    for path in shards.find_shards(imagenet_records, "train"):
        for data in tfrecord.read_records(path):
            features = tfrecord.decode_example(data)
            name = features["image/filename"][0].decode()  # type: ignore[union-attr]
            seen[name] = features["image/encoded"][0]
            labels.append(features["image/class/label"][0])
            assert name.startswith(f"n9000000{labels[-1]}")
    assert seen == {path.name: path.read_bytes() for path in pristine_imagenet.glob("train/*/*")}
    assert labels != sorted(labels)
    assert all(len(set(labels[start : start + 9])) == 3 for start in range(0, 36, 9))  # classes mixed in each shard


def test_records_do_not_depend_on_workers_and_parts(
    pristine_imagenet: Path, imagenet_records: Path, tmp_path: Path
) -> None:
    prepare(pristine_imagenet, tmp_path / "two", workers=2)
    assert contents(tmp_path / "two") == contents(imagenet_records)
    shared = tmp_path / "parts"
    assert prepare(pristine_imagenet, shared, part=(2, 3))["missing_parts"] == ["1/3", "3/3"]
    with pytest.raises(DataError, match="unfinished"):
        dataset_info.load_dataset_info(shared)
    prepare(pristine_imagenet, shared, part=(3, 3))
    with pytest.raises(DataError, match=r"unfinished records.*--resume"):
        prepare(pristine_imagenet, shared, part=(3, 3))
    assert prepare(pristine_imagenet, shared, part=(1, 3))["missing_parts"] == []
    ours, theirs = contents(shared), contents(imagenet_records)
    a, b = json.loads(ours.pop("dataset.json")), json.loads(theirs.pop("dataset.json"))
    assert ours == theirs
    assert a.pop("plan") == b.pop("plan") | {"parts": 3}
    assert a == b
    other = prepare(pristine_imagenet, tmp_path / "seed", seed=1)
    assert other["fingerprint"] != b["fingerprint"]


def test_tars_give_the_same_records_as_folders(imagenet_source: Path, imagenet_records: Path, tmp_path: Path) -> None:
    tars = tmp_path / "tars"
    tars.mkdir()
    with tarfile.open(tars / "ILSVRC2012_img_train.tar", "w") as outer:
        for folder in sorted((imagenet_source / "train").iterdir(), reverse=True):
            inner = io.BytesIO()
            with tarfile.open(fileobj=inner, mode="w") as tar:
                for file in sorted(folder.iterdir(), reverse=True):
                    tar.add(file, file.name)
            info = tarfile.TarInfo(f"{folder.name}.tar")
            info.size = len(inner.getvalue())
            outer.addfile(info, io.BytesIO(inner.getvalue()))
    images = sorted((imagenet_source / "val").glob("*/*"), key=lambda path: path.name)
    with tarfile.open(tars / "ILSVRC2012_img_val.tar", "w") as tar:
        for file in images:
            tar.add(file, f"val/{file.name}")
    shutil.copy(imagenet_source / "synset_words.txt", tars)
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"{file.parent.name}\n" for file in images))
    prepare(tars, tmp_path / "out", labels=labels)
    assert contents_without_layout(tmp_path / "out") == contents_without_layout(imagenet_records)

    train = tars / "ILSVRC2012_img_train.tar"
    train.write_bytes(train.read_bytes()[:-20_000])
    with pytest.raises(DataError, match=r"ILSVRC2012_img_train\.tar is (cut off|not a complete tar)"):
        prepare(tars, tmp_path / "cut", labels=labels)
    assert not (tmp_path / "cut").exists()


@pytest.mark.parametrize("layout", ["order", "names", "kaggle"])
def test_flat_val_with_labels(imagenet_source: Path, imagenet_records: Path, tmp_path: Path, layout: str) -> None:
    images = sorted((imagenet_source / "val").glob("*/*"), key=lambda path: path.name)
    rows = [(path.name, path.parent.name) for path in images]
    for path in images:
        path.rename(imagenet_source / "val" / path.name)
    for folder in (imagenet_source / "val").glob("n*1"), (imagenet_source / "val").glob("n*[23]"):
        for path in folder:
            path.rmdir() if path.is_dir() else None
    labels: Path | None = tmp_path / "labels"
    if layout == "kaggle":
        labels = None
        text = "ImageId,PredictionString\n" + "".join(f"{name[:-5]},{synset} 1 2 3 4\n" for name, synset in rows)
        (imagenet_source / "LOC_val_solution.csv").write_text(text)
    else:
        rows = rows if layout == "order" else rows[::-1]
        (tmp_path / "labels").write_text(
            "".join(f"{'' if layout == 'order' else name} {synset}\n" for name, synset in rows)
        )
    prepare(imagenet_source, tmp_path / "out", labels=labels)
    assert contents_without_layout(tmp_path / "out") == contents_without_layout(imagenet_records)


def test_command_line(mnasnet: Any, pristine_imagenet: Path, tmp_path: Path) -> None:
    arguments = ["prepare-imagenet", pristine_imagenet, tmp_path / "out", "--train-shards", 100, "--val-shards", 2]
    result = mnasnet(*arguments, "--json")
    assert result.code == 0, result.err
    assert result.json["splits"]["train"]["shards"] == 36  # no more images
    assert result.json["splits"]["validation"]["examples"] == 12
    result = mnasnet(*arguments)
    assert result.code == 2, result.err
    assert "finished records" in result.err
    result = mnasnet(*arguments, "--resume")
    assert result.code == 0, result.err
    assert "36 shards instead of 100" in result.err
    assert mnasnet(*arguments, "--part", "x").code == 2


def test_bad_images_are_refused_or_skipped(imagenet_source: Path, tmp_path: Path) -> None:
    folder = imagenet_source / "train" / "n90000002"
    whole = (folder / "n90000002_00000.JPEG").read_bytes()
    (folder / "cut.JPEG").write_bytes(whole[:400])
    (folder / "text.JPEG").write_text("hello")
    (folder / "folder.JPEG").mkdir()
    (folder / "dangling.JPEG").symlink_to("/nowhere")
    os.mkfifo(folder / "pipe.JPEG")
    (folder / ".hidden.JPEG").write_text("not listed")
    (folder / "notes.txt").write_text("counted as ignored")
    with pytest.raises(BadImageError, match=r"train/n90000002/\w+\.JPEG: .*--on-bad-image skip"):
        prepare(imagenet_source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    result = prepare(imagenet_source, tmp_path / "out", on_bad_image="skip")
    assert {Path(bad["file"]).stem: bad["reason"].split(":")[0] for bad in result["bad_files"]} == {
        "cut": "the JPEG is cut off",
        "text": "this is text, not an image",
        "folder": "this is not a file",
        "dangling": "cannot be read",
        "pipe": "this is not a file",
    }
    assert result["ignored_files"] == 1
    assert result["splits"]["train"]["examples"] == 36
    assert len(dataset_info.load_dataset_info(tmp_path / "out").bad_files) == 5


def test_unreadable_file_is_named(imagenet_source: Path, tmp_path: Path) -> None:
    path = imagenet_source / "train" / "n90000001" / "n90000001_00003.JPEG"
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("root reads everything")
    with pytest.raises(BadImageError, match=r"n90000001_00003\.JPEG: cannot be read: permission denied"):
        prepare(imagenet_source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_only_bad_images(imagenet_source: Path, tmp_path: Path) -> None:
    for path in (imagenet_source / "val").glob("*/*"):
        path.write_text("x")
    with pytest.raises(DataError, match=r"none of the 12 validation images.*n90000001_00000\.JPEG"):
        prepare(imagenet_source, tmp_path / "out", on_bad_image="skip")
    assert not (tmp_path / "out").exists()


def rename_class(split: Path, name: str = os.fsdecode(b"c\xff")) -> None:
    try:
        (split / "n90000001").rename(split / name)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: shutil.rmtree(root), "no folder"),
        (lambda root: [shutil.rmtree(root / name) for name in ("train", "val")], "no images in"),
        (lambda root: [path.unlink() for path in root.glob("train/n90000002/*")], "class n90000002 has no images"),
        (lambda root: (root / "val" / "n90000003").rename(root / "val" / "n1"), "class n1 .* not among the 3 classes"),
        (lambda root: [shutil.rmtree(path) for path in root.glob("train/*")], "no class folders in .*train"),
        (lambda root: [shutil.rmtree(path) for path in root.glob("val/*")], "no class folders.*--labels"),
        (lambda root: rename_class(root / "train"), r"the name of class c\\xff in .*source/train is not UTF-8; rename"),
        (lambda root: rename_class(root / "val"), r"the name of class c\\xff in .*source/val is not UTF-8; rename it"),
        (
            lambda root: rename_class(root / "train", "a\tb"),
            r"the name of class 'a\\tb' in .* contains a tab or a line break",
        ),
    ],
)
def test_invalid_sources(imagenet_source: Path, tmp_path: Path, change: Any, message: str) -> None:
    change(imagenet_source)
    with pytest.raises(DataError, match=message):
        prepare(imagenet_source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_class_of_a_tar_that_is_not_utf8(imagenet_source: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "inner.tar", "w") as tar:
        tar.add(imagenet_source / "train" / "n90000001" / "n90000001_00000.JPEG", "a.JPEG")
    shutil.rmtree(imagenet_source / "train")
    with tarfile.open(imagenet_source / "ILSVRC2012_img_train.tar", "w", format=tarfile.GNU_FORMAT) as tar:
        tar.add(tmp_path / "inner.tar", os.fsdecode(b"c\xff.tar"))
    with pytest.raises(DataError, match=r"the name of class c\\xff in .*ILSVRC2012_img_train\.tar is not UTF-8"):
        prepare(imagenet_source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
