"""From a folder or tars to records: the same content, whatever the way, and however often the run was stopped."""

from __future__ import annotations

import io
import json
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
from folder_contents import contents
from imagenet_cases import prepare

from mnasnet_cli.errors import ConfigError, DataError
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


def test_same_records_whatever_the_number_of_workers_and_parts(
    pristine_imagenet: Path, imagenet_records: Path, tmp_path: Path
) -> None:
    prepare(pristine_imagenet, tmp_path / "one", workers=1)
    assert contents(tmp_path / "one") == contents(imagenet_records)
    shared = tmp_path / "parts"
    assert prepare(pristine_imagenet, shared, part=(2, 3))["missing_parts"] == ["1/3", "3/3"]
    with pytest.raises(DataError, match="unfinished"):
        dataset_info.load_dataset_info(shared)
    prepare(pristine_imagenet, shared, part=(3, 3))
    with pytest.raises(DataError, match="unfinished records; go on with --resume"):
        prepare(pristine_imagenet, shared, part=(3, 3))
    assert prepare(pristine_imagenet, shared, part=(1, 3))["missing_parts"] == []
    ours, theirs = contents(shared), contents(imagenet_records)
    a, b = json.loads(ours.pop("dataset.json")), json.loads(theirs.pop("dataset.json"))
    assert ours == theirs
    assert a.pop("plan") == b.pop("plan") | {"parts": 3}
    assert a == b
    other = prepare(pristine_imagenet, tmp_path / "seed", seed=1)
    assert other["fingerprint"] != b["fingerprint"]


def test_tars_give_what_folders_give(imagenet_source: Path, imagenet_records: Path, tmp_path: Path) -> None:
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
    assert contents(tmp_path / "out") == contents(imagenet_records)

    train = tars / "ILSVRC2012_img_train.tar"
    train.write_bytes(train.read_bytes()[:-20_000])
    with pytest.raises(DataError, match=r"ILSVRC2012_img_train\.tar is (cut off|not a whole tar)"):
        prepare(tars, tmp_path / "cut", labels=labels)
    assert not (tmp_path / "cut").exists()


@pytest.mark.parametrize("form", ["order", "names", "kaggle"])
def test_flat_val_with_labels(imagenet_source: Path, imagenet_records: Path, tmp_path: Path, form: str) -> None:
    images = sorted((imagenet_source / "val").glob("*/*"), key=lambda path: path.name)
    rows = [(path.name, path.parent.name) for path in images]
    for path in images:
        path.rename(imagenet_source / "val" / path.name)
    for folder in (imagenet_source / "val").glob("n*1"), (imagenet_source / "val").glob("n*[23]"):
        for path in folder:
            path.rmdir() if path.is_dir() else None
    labels: Path | None = tmp_path / "labels"
    if form == "kaggle":
        labels = None
        text = "ImageId,PredictionString\n" + "".join(f"{name[:-5]},{synset} 1 2 3 4\n" for name, synset in rows)
        (imagenet_source / "LOC_val_solution.csv").write_text(text)
    else:
        rows = rows if form == "order" else rows[::-1]
        (tmp_path / "labels").write_text(
            "".join(f"{'' if form == 'order' else name} {synset}\n" for name, synset in rows)
        )
    prepare(imagenet_source, tmp_path / "out", labels=labels)
    assert contents(tmp_path / "out") == contents(imagenet_records)


def test_resume_writes_only_what_is_missing(imagenet_source: Path, imagenet_records: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(imagenet_records, out)
    kept = (out / "train-00000-of-00004").stat().st_mtime_ns
    (out / "train-00001-of-00004").unlink()
    last = out / "validation-00001-of-00002"
    last.write_bytes(last.read_bytes()[:-1])
    with pytest.raises(DataError, match="finished records; choose another folder"):
        prepare(imagenet_source, out)
    assert prepare(imagenet_source, out, resume=True)["kept_shards"] == 4
    assert contents(out) == contents(imagenet_records)
    assert (out / "train-00000-of-00004").stat().st_mtime_ns == kept
    with pytest.raises(ConfigError, match=r"--seed \(was 0, is 4\) differs"):
        prepare(imagenet_source, out, resume=True, seed=4)
    (imagenet_source / "train" / "n90000001" / "n90000001_00000.JPEG").rename(
        imagenet_source / "train" / "n90000001" / "x.JPEG"
    )
    with pytest.raises(DataError, match="list of train images differs"):
        prepare(imagenet_source, out, resume=True)
    assert contents(out) == contents(imagenet_records)


def test_mended_shard_must_come_out_the_same(imagenet_source: Path, imagenet_records: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(imagenet_records, out)
    for path in (imagenet_source / "val").glob("*/*"):
        path.write_bytes(path.read_bytes() + b"\0")
    (out / "validation-00001-of-00002").unlink()
    with pytest.raises(DataError, match="the images changed since"):
        prepare(imagenet_source, out, resume=True)


def test_killed_runs_can_go_on(imagenet_source: Path, imagenet_records: Path, tmp_path: Path) -> None:
    """The whole program, stopped by SIGTERM, SIGINT and SIGKILL while it waits for a slow file, leaves whole shards."""
    out, waiting = tmp_path / "out", tmp_path / "waiting"
    code = (
        "import pathlib, signal, sys, time, data_prep.preparation as job\n"
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
    command = [sys.executable, "-c", code, "prepare-imagenet", imagenet_source, out, "--train-shards", "4",
               "--val-shards", "2", "--workers", "2", "--resume"]  # fmt: skip
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
    prepare(imagenet_source, out, resume=True)
    assert contents(out) == contents(imagenet_records)


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
