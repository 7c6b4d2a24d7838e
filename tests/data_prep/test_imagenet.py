"""From a folder or tars to records: the same content, whatever the way; and nothing left where that fails."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from data_prep.imagenet import BadImageError, Options, prepare_imagenet
from mnasnet_cli.data import schema
from mnasnet_cli.errors import ConfigError, DataError

SMALL = Options(train_shards=4, val_shards=2, workers=2)


def prepare(source: Path, out: Path, **options: Any) -> dict[str, Any]:
    return prepare_imagenet(source, out, dataclasses.replace(SMALL, **options))


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


@pytest.fixture(scope="module")
def reference(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reference") / "records"
    prepare(pristine, out)
    return out


def test_records_hold_every_image_once(pristine: Path, reference: Path) -> None:
    info = schema.load_dataset_info(reference)
    assert info.classes == 3
    assert info.texts == ("circle", "square", "triangle")
    assert info.synsets == ("n90000001", "n90000002", "n90000003")
    assert info.splits["train"].shard_examples == (9, 9, 9, 9)
    assert dict(info.splits["validation"].per_class) == {"n90000001": 4, "n90000002": 4, "n90000003": 4}
    assert info.image_sizes["width"] == {"min": 32, "mean": 32.0, "max": 32}
    seen = {}
    labels = []
    for path in schema.find_shards(reference, "train"):
        for data in schema.read_records(path):
            features = schema.decode_example(data)
            name = features["image/filename"][0].decode()  # type: ignore[union-attr]
            seen[name] = features["image/encoded"][0]
            labels.append(features["image/class/label"][0])
            assert name.startswith(f"n9000000{labels[-1]}")
    assert seen == {path.name: path.read_bytes() for path in pristine.glob("train/*/*")}
    assert labels != sorted(labels)
    assert all(len(set(labels[start : start + 9])) == 3 for start in range(0, 36, 9))  # classes mixed in each shard


def test_same_records_whatever_the_number_of_workers_and_parts(pristine: Path, reference: Path, tmp_path: Path) -> None:
    prepare(pristine, tmp_path / "one", workers=1)
    assert contents(tmp_path / "one") == contents(reference)
    shared = tmp_path / "parts"
    assert prepare(pristine, shared, part=(2, 3))["missing_parts"] == ["1/3", "3/3"]
    with pytest.raises(DataError, match="unfinished"):
        schema.load_dataset_info(shared)
    prepare(pristine, shared, part=(3, 3))
    with pytest.raises(DataError, match="unfinished records; go on with --resume"):
        prepare(pristine, shared, part=(3, 3))
    assert prepare(pristine, shared, part=(1, 3))["missing_parts"] == []
    ours, theirs = contents(shared), contents(reference)
    a, b = json.loads(ours.pop("dataset.json")), json.loads(theirs.pop("dataset.json"))
    assert ours == theirs
    assert a.pop("plan") == b.pop("plan") | {"parts": 3}
    assert a == b
    other = prepare(pristine, tmp_path / "seed", seed=1)
    assert other["fingerprint"] != b["fingerprint"]


def test_tars_give_what_folders_give(source: Path, reference: Path, tmp_path: Path) -> None:
    tars = tmp_path / "tars"
    tars.mkdir()
    with tarfile.open(tars / "ILSVRC2012_img_train.tar", "w") as outer:
        for folder in sorted((source / "train").iterdir(), reverse=True):
            inner = io.BytesIO()
            with tarfile.open(fileobj=inner, mode="w") as tar:
                for file in sorted(folder.iterdir(), reverse=True):
                    tar.add(file, file.name)
            info = tarfile.TarInfo(f"{folder.name}.tar")
            info.size = len(inner.getvalue())
            outer.addfile(info, io.BytesIO(inner.getvalue()))
    images = sorted((source / "val").glob("*/*"), key=lambda path: path.name)
    with tarfile.open(tars / "ILSVRC2012_img_val.tar", "w") as tar:
        for file in images:
            tar.add(file, f"val/{file.name}")
    shutil.copy(source / "synset_words.txt", tars)
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"{file.parent.name}\n" for file in images))
    prepare(tars, tmp_path / "out", labels=labels)
    assert contents(tmp_path / "out") == contents(reference)

    train = tars / "ILSVRC2012_img_train.tar"
    train.write_bytes(train.read_bytes()[:-20_000])
    with pytest.raises(DataError, match=r"ILSVRC2012_img_train\.tar is (cut off|not a whole tar)"):
        prepare(tars, tmp_path / "cut", labels=labels)
    assert not (tmp_path / "cut").exists()


@pytest.mark.parametrize("form", ["order", "names", "kaggle"])
def test_flat_val_with_labels(source: Path, reference: Path, tmp_path: Path, form: str) -> None:
    images = sorted((source / "val").glob("*/*"), key=lambda path: path.name)
    rows = [(path.name, path.parent.name) for path in images]
    for path in images:
        path.rename(source / "val" / path.name)
    for folder in (source / "val").glob("n*1"), (source / "val").glob("n*[23]"):
        for path in folder:
            path.rmdir() if path.is_dir() else None
    labels: Path | None = tmp_path / "labels"
    if form == "kaggle":
        labels = None
        text = "ImageId,PredictionString\n" + "".join(f"{name[:-5]},{synset} 1 2 3 4\n" for name, synset in rows)
        (source / "LOC_val_solution.csv").write_text(text)
    else:
        rows = rows if form == "order" else rows[::-1]
        (tmp_path / "labels").write_text(
            "".join(f"{'' if form == 'order' else name} {synset}\n" for name, synset in rows)
        )
    prepare(source, tmp_path / "out", labels=labels)
    assert contents(tmp_path / "out") == contents(reference)


def test_odd_images_are_refused_or_left_out(source: Path, tmp_path: Path) -> None:
    folder = source / "train" / "n90000002"
    whole = (folder / "n90000002_00000.JPEG").read_bytes()
    (folder / "cut.JPEG").write_bytes(whole[:400])
    (folder / "text.JPEG").write_text("hello")
    (folder / "folder.JPEG").mkdir()
    (folder / "dangling.JPEG").symlink_to("/nowhere")
    os.mkfifo(folder / "pipe.JPEG")
    (folder / ".hidden.JPEG").write_text("left out without a word")
    (folder / "notes.txt").write_text("counted as ignored")
    with pytest.raises(BadImageError, match=r"train/n90000002/\w+\.JPEG: .*--on-bad-image skip"):
        prepare(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    result = prepare(source, tmp_path / "out", on_bad_image="skip")
    assert {Path(bad["file"]).stem: bad["reason"].split(":")[0] for bad in result["bad_files"]} == {
        "cut": "the JPEG is cut off",
        "text": "this is text, not an image",
        "folder": "this is no file",
        "dangling": "cannot be read",
        "pipe": "this is no file",
    }
    assert result["ignored_files"] == 1
    assert result["splits"]["train"]["examples"] == 36
    assert len(schema.load_dataset_info(tmp_path / "out").bad_files) == 5


def test_unreadable_file_is_named(source: Path, tmp_path: Path) -> None:
    path = source / "train" / "n90000001" / "n90000001_00003.JPEG"
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("root reads everything")
    with pytest.raises(BadImageError, match=r"n90000001_00003\.JPEG: cannot be read: permission denied"):
        prepare(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_only_bad_images(source: Path, tmp_path: Path) -> None:
    for path in (source / "val").glob("*/*"):
        path.write_text("x")
    with pytest.raises(DataError, match="not one of the 12 validation images can be read"):
        prepare(source, tmp_path / "out", on_bad_image="skip")
    assert not (tmp_path / "out").exists()


def test_failing_leaves_a_folder_that_was_there_as_it_was(source: Path, tmp_path: Path) -> None:
    (source / "val" / "n90000001" / "n90000001_00000.JPEG").write_text("x")
    out = tmp_path / "a" / "b"
    out.mkdir(parents=True)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(BadImageError):
        prepare(source, out)
    assert contents(out) == {"notes.txt": b"mine"}
    with pytest.raises(BadImageError):
        prepare(source, out, resume=True, workers=1)  # whole shards may stay for one who means to go on
    assert not [path for path in out.iterdir() if "partial" in path.name]
    prepare(source, out, resume=True, on_bad_image="skip")
    assert schema.load_dataset_info(out).splits["validation"].examples == 11


def test_resume_writes_only_what_is_missing(source: Path, reference: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(reference, out)
    kept = (out / "train-00000-of-00004").stat().st_mtime_ns
    (out / "train-00001-of-00004").unlink()
    last = out / "validation-00001-of-00002"
    last.write_bytes(last.read_bytes()[:-1])
    with pytest.raises(DataError, match="finished records; choose another folder"):
        prepare(source, out)
    assert prepare(source, out, resume=True)["kept_shards"] == 4
    assert contents(out) == contents(reference)
    assert (out / "train-00000-of-00004").stat().st_mtime_ns == kept
    with pytest.raises(DataError, match="seed differs"):
        prepare(source, out, resume=True, seed=4)
    (source / "train" / "n90000001" / "n90000001_00000.JPEG").rename(source / "train" / "n90000001" / "x.JPEG")
    with pytest.raises(DataError, match="list of train images differs"):
        prepare(source, out, resume=True)
    assert contents(out) == contents(reference)


def test_mended_shard_must_come_out_the_same(source: Path, reference: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(reference, out)
    for path in (source / "val").glob("*/*"):
        path.write_bytes(path.read_bytes() + b"\0")
    (out / "validation-00001-of-00002").unlink()
    with pytest.raises(DataError, match="the images changed since"):
        prepare(source, out, resume=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: shutil.rmtree(root), "no folder"),
        (lambda root: [shutil.rmtree(root / name) for name in ("train", "val")], "no images in"),
        (lambda root: [path.unlink() for path in root.glob("train/n90000002/*")], "class n90000002 has no images"),
        (lambda root: (root / "val" / "n90000003").rename(root / "val" / "n1"), "class n1 .* not among the 3 classes"),
        (lambda root: [shutil.rmtree(path) for path in root.glob("train/*")], "no class folders in .*train"),
        (lambda root: [shutil.rmtree(path) for path in root.glob("val/*")], "name the file with its labels"),
    ],
)
def test_sources_at_fault(source: Path, tmp_path: Path, change: Any, message: str) -> None:
    change(source)
    with pytest.raises(DataError, match=message):
        prepare(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


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
def test_wrong_labels(source: Path, tmp_path: Path, text: str | bytes | None, message: str) -> None:
    for path in (source / "val").glob("*/*"):
        path.rename(source / "val" / path.name)
    for path in (source / "val").glob("n*"):
        if path.is_dir():
            path.rmdir()
    labels = tmp_path / "labels"
    if text is not None:
        labels.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(DataError, match=message):
        prepare(source, tmp_path / "out", labels=labels)
    assert not (tmp_path / "out").exists()


def test_outputs_at_fault(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    for out, message in (
        (tmp_path / "file", "is a file"),
        (tmp_path / "file" / "x", "is a file"),
        (Path("/proc/x"), "/proc"),
    ):
        with pytest.raises(DataError, match=message):
            prepare(source, out)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(DataError, match="read-only"):
        prepare(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "options",
    [{"train_shards": 0}, {"part": (0, 3)}, {"part": (4, 3)}, {"workers": -1}, {"max_side": 0}, {"on_bad_image": "x"}],
)
def test_options_at_fault(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="--"):
        Options(**options)


def test_killed_runs_can_go_on(source: Path, reference: Path, tmp_path: Path) -> None:
    """The whole program, stopped by SIGTERM, SIGINT and SIGKILL while it waits for a slow file, leaves whole shards."""
    out, waiting = tmp_path / "out", tmp_path / "waiting"
    code = (
        "import pathlib, signal, sys, time, data_prep.records as job\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs ignore it
        "whole = job.write_shard\n"
        "def slow(shared, task, report):\n"
        "    if task[1] >= 2:\n"
        f"        pathlib.Path({str(waiting)!r}).touch()\n"
        "        for done in range(600):\n"
        "            time.sleep(0.1)\n"
        "            report(done)\n"  # the way a worker learns that its parent was killed
        "    return whole(shared, task, report)\n"
        "job.write_shard = slow\n"
        "from mnasnet_cli.app import main\n"
        "main()"
    )
    command = [sys.executable, "-c", code, "prepare-imagenet", source, out, "--train-shards", "4", "--val-shards", "2",
               "--workers", "2", "--resume"]  # fmt: skip
    for number, expected in ((signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)):
        waiting.unlink(missing_ok=True)
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 30
        while not waiting.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.2)  # the other worker comes to wait as well
        process.send_signal(number)
        assert process.wait(20) == expected
        names = [path.name for path in out.iterdir()]
        assert {"train-00000-of-00004", "train-00001-of-00004"} <= set(names), names
        assert "dataset.json" not in names
        if number != signal.SIGKILL:
            assert not [name for name in names if "partial" in name], names
    prepare(source, out, resume=True)
    assert contents(out) == contents(reference)


def test_command_line(mnasnet: Any, pristine: Path, tmp_path: Path) -> None:
    arguments = ["prepare-imagenet", pristine, tmp_path / "out", "--train-shards", 100, "--val-shards", 2]
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
