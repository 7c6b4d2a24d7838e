"""Faults of an ImageNet-style source, its labels, the output and the options: named, and nothing is left of the run."""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
from folder_contents import contents
from imagenet_cases import prepare

from data_prep.options import Options
from data_prep.shard_job import BadImageError
from mnasnet_cli.errors import ConfigError, DataError
from mnasnet_cli.records import dataset_info


def test_odd_images_are_refused_or_left_out(imagenet_source: Path, tmp_path: Path) -> None:
    folder = imagenet_source / "train" / "n90000002"
    whole = (folder / "n90000002_00000.JPEG").read_bytes()
    (folder / "cut.JPEG").write_bytes(whole[:400])
    (folder / "text.JPEG").write_text("hello")
    (folder / "folder.JPEG").mkdir()
    (folder / "dangling.JPEG").symlink_to("/nowhere")
    os.mkfifo(folder / "pipe.JPEG")
    (folder / ".hidden.JPEG").write_text("left out without a word")
    (folder / "notes.txt").write_text("counted as ignored")
    with pytest.raises(BadImageError, match=r"train/n90000002/\w+\.JPEG: .*--on-bad-image skip"):
        prepare(imagenet_source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    result = prepare(imagenet_source, tmp_path / "out", on_bad_image="skip")
    assert {Path(bad["file"]).stem: bad["reason"].split(":")[0] for bad in result["bad_files"]} == {
        "cut": "the JPEG is cut off",
        "text": "this is text, not an image",
        "folder": "this is no file",
        "dangling": "cannot be read",
        "pipe": "this is no file",
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
    with pytest.raises(DataError, match="not one of the 12 validation images can be read"):
        prepare(imagenet_source, tmp_path / "out", on_bad_image="skip")
    assert not (tmp_path / "out").exists()


def test_failing_leaves_a_folder_that_was_there_as_it_was(imagenet_source: Path, tmp_path: Path) -> None:
    (imagenet_source / "val" / "n90000001" / "n90000001_00000.JPEG").write_text("x")
    out = tmp_path / "a" / "b"
    out.mkdir(parents=True)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(BadImageError):
        prepare(imagenet_source, out)
    assert contents(out) == {"notes.txt": b"mine"}
    with pytest.raises(BadImageError):
        prepare(imagenet_source, out, resume=True, workers=1)  # whole shards may stay for one who means to go on
    assert not [path for path in out.iterdir() if "partial" in path.name]
    prepare(imagenet_source, out, resume=True, on_bad_image="skip")
    assert dataset_info.load_dataset_info(out).splits["validation"].examples == 11


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
        (lambda root: [shutil.rmtree(path) for path in root.glob("val/*")], "name the file with its labels"),
        (lambda root: rename_class(root / "train"), r"the name of class c\\xff in .*source/train is not UTF-8; rename"),
        (lambda root: rename_class(root / "val"), r"the name of class c\\xff in .*source/val is not UTF-8; rename it"),
        (
            lambda root: rename_class(root / "train", "a\tb"),
            r"the name of class 'a\\tb' in .* holds a tab or a line break",
        ),
    ],
)
def test_sources_at_fault(imagenet_source: Path, tmp_path: Path, change: Any, message: str) -> None:
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


@pytest.mark.parametrize("place", ["", "train", "val/n90000001", "train/records", "link"])
def test_records_do_not_go_among_the_images(imagenet_source: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "link").symlink_to(imagenet_source)
    before = sorted(imagenet_source.rglob("*"))
    with pytest.raises(ConfigError, match=r"(is the source itself|lies among the images of .*); choose another folder"):
        prepare(imagenet_source, tmp_path / "link" if place == "link" else imagenet_source / place, resume=True)
    assert sorted(imagenet_source.rglob("*")) == before
    prepare(imagenet_source, imagenet_source / "records")  # beside them they do no harm


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n90000001\n", "has 1 labels for 12 validation images"),
        ("n90000001\nn9000002\n", r"line 2: 'n9000002' is none of the 3 classes of train; did you mean 'n90000002'"),
        ("n90000001\na.JPEG n90000001\n", "line 2: some lines name a file"),
        ("a.JPEG n90000001\n", r"has no label for n90000001_00000\.JPEG"),
        ("", "is empty"),
        (b"\xff\xd8\xff", "is not a text file"),
        (None, "cannot read --labels"),
    ],
)
def test_wrong_labels(imagenet_source: Path, tmp_path: Path, text: str | bytes | None, message: str) -> None:
    for path in (imagenet_source / "val").glob("*/*"):
        path.rename(imagenet_source / "val" / path.name)
    for path in (imagenet_source / "val").glob("n*"):
        if path.is_dir():
            path.rmdir()
    labels = tmp_path / "labels"
    if text is not None:
        labels.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(DataError, match=message):
        prepare(imagenet_source, tmp_path / "out", labels=labels)
    assert not (tmp_path / "out").exists()


def test_outputs_at_fault(imagenet_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    for out, message in (
        (tmp_path / "file", "is a file"),
        (tmp_path / "file" / "x", "is a file"),
        (Path("/proc/x"), "/proc"),
    ):
        with pytest.raises(DataError, match=message):
            prepare(imagenet_source, out)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(DataError, match="read-only"):
        prepare(imagenet_source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "options",
    [{"train_shards": 0}, {"part": (0, 3)}, {"part": (4, 3)}, {"workers": -1}, {"max_side": 0}, {"on_bad_image": "x"}],
)
def test_options_at_fault(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="--"):
        Options(**options)
