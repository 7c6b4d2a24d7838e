"""Runs that are resumed, stopped, or shared between machines, and the command line."""

from __future__ import annotations

import dataclasses
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import coco_cases
import imagenet_cases
import pytest
from folder_contents import contents

from data_prep import preparation
from mnasnet_cli.errors import ConfigError, DataError, EnvironmentProblem
from mnasnet_cli.records import shards
from mnasnet_cli.system.files import write_atomically


def test_resume_writes_only_what_is_missing(imagenet_source: Path, imagenet_records: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(imagenet_records, out)
    kept = (out / "train-00000-of-00004").stat().st_mtime_ns
    (out / "train-00001-of-00004").unlink()
    (out / "labels.txt").unlink()
    last = out / "validation-00001-of-00002"
    last.write_bytes(last.read_bytes()[:-1])
    with pytest.raises(DataError, match="contains finished records"):
        imagenet_cases.prepare(imagenet_source, out)
    assert imagenet_cases.prepare(imagenet_source, out, resume=True)["kept_shards"] == 4
    assert contents(out) == contents(imagenet_records)
    assert (out / "train-00000-of-00004").stat().st_mtime_ns == kept
    with pytest.raises(ConfigError, match=r"--seed \(was 0, is 4\) differs"):
        imagenet_cases.prepare(imagenet_source, out, resume=True, seed=4)
    (imagenet_source / "train" / "n90000001" / "n90000001_00000.JPEG").rename(
        imagenet_source / "train" / "n90000001" / "x.JPEG"
    )
    with pytest.raises(DataError, match="list of train images differs"):
        imagenet_cases.prepare(imagenet_source, out, resume=True)
    assert contents(out) == contents(imagenet_records)


def test_shards_stay_when_the_summary_can_not_be_written(
    imagenet_source: Path, imagenet_records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_at_the_end(path: Path, *content: Any) -> None:
        write_atomically(path, *content)
        if path.name == shards.DATASET_FILE:  # it has its name, but the disk does not take the name
            raise EnvironmentProblem("full")

    out = tmp_path / "out"
    monkeypatch.setattr(preparation, "write_atomically", fail_at_the_end)
    with pytest.raises(EnvironmentProblem, match="full"):
        imagenet_cases.prepare(imagenet_source, out)
    monkeypatch.undo()
    assert imagenet_cases.prepare(imagenet_source, out, resume=True)["kept_shards"] == 6
    assert contents(out) == contents(imagenet_records)


def test_a_rewritten_shard_must_have_the_same_bytes(
    imagenet_source: Path, imagenet_records: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(imagenet_records, out)
    for path in (imagenet_source / "val").glob("*/*"):
        path.write_bytes(path.read_bytes() + b"\0")
    (out / "validation-00001-of-00002").unlink()
    with pytest.raises(DataError, match=r"validation-00001-of-00002.*images have changed"):
        imagenet_cases.prepare(imagenet_source, out, resume=True)


def test_stopped_runs_can_be_resumed(imagenet_source: Path, imagenet_records: Path, tmp_path: Path) -> None:
    """SIGTERM, SIGINT and SIGKILL stop the program while it waits for a slow file. Complete shards stay."""
    out, waiting = tmp_path / "out", tmp_path / "waiting"
    code = (
        "import pathlib, signal, sys, time, data_prep.preparation as module\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs ignore it
        "write_piece = module.write_piece\n"
        "def slow(shared, task, report):\n"
        "    if task.shard.number >= 2:\n"
        f"        pathlib.Path({str(waiting)!r}).touch()\n"
        "        for done in range(600):\n"
        "            time.sleep(0.1)\n"
        "            report(done)\n"  # a worker notices here that its parent was killed
        "    return write_piece(shared, task, report)\n"
        "module.write_piece = slow\n"
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
        time.sleep(0.2)  # the other worker also reaches its slow file
        process.send_signal(number)
        assert process.wait(20) == expected
        names = [path.name for path in out.iterdir()]
        assert {"train-00000-of-00004", "train-00001-of-00004"} <= set(names), names
        assert "dataset.json" not in names
        if number != signal.SIGKILL:
            assert not [name for name in names if "partial" in name], names
    imagenet_cases.prepare(imagenet_source, out, resume=True)
    assert contents(out) == contents(imagenet_records)


def test_a_journal_beside_finished_records_goes(imagenet_source: Path, imagenet_records: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(imagenet_records, out)
    (out / "unfinished-part-00001-of-00001.jsonl").write_text("{}\n")  # killed between the last two files
    imagenet_cases.prepare(imagenet_source, out, resume=True)
    assert contents(out) == contents(imagenet_records)


FOUR = {"train_shards": 2, "val_shards": 2}  # one shard for each of four parts


@pytest.fixture
def first_part(pristine_imagenet: Path, tmp_path: Path) -> Path:
    """Records of the first of four parts."""
    imagenet_cases.prepare(pristine_imagenet, tmp_path / "first_part", part=(1, 4), **FOUR)
    return tmp_path / "first_part"


def records(out: Path) -> dict[str, bytes]:
    return {name: data for name, data in contents(out).items() if name != "dataset.json"}


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "with --part I/4, but this run is without --part;.* --resume"),
        ({**FOUR, "part": (2, 2)}, "with --part I/4, but this run is with --part I/2"),
        ({"part": (2, 4)}, r"--train-shards \(was 2, is 4\) differs"),
        ({**FOUR, "part": (2, 4), "seed": 3}, r"--seed \(was 0, is 3\) differs"),
        ({**FOUR, "part": (2, 4), "max_side": 20}, r"--max-side \(was None, is 20\) differs"),
        ({**FOUR, "part": (2, 4), "exif": "ignore"}, r"--exif \(was upright, is ignore\) differs"),
    ],
)
def test_other_options_are_refused_before_anything_is_written(
    pristine_imagenet: Path, first_part: Path, options: dict[str, Any], message: str, resume: bool
) -> None:
    before = contents(first_part)
    with pytest.raises(ConfigError, match=message):
        imagenet_cases.prepare(pristine_imagenet, first_part, resume=resume, **options)
    assert contents(first_part) == before


def test_parts_of_a_run_without_parts_are_refused(pristine_imagenet: Path, first_part: Path) -> None:
    (first_part / "unfinished-part-00001-of-00004.jsonl").rename(first_part / "unfinished-part-00001-of-00001.jsonl")
    with pytest.raises(ConfigError, match="without --part, but this run is with --part I/4"):
        imagenet_cases.prepare(pristine_imagenet, first_part, resume=True, part=(1, 4), **FOUR)


def test_a_part_of_another_source_is_refused(imagenet_source: Path, first_part: Path) -> None:
    before = contents(first_part)
    shutil.rmtree(imagenet_source / "val")
    for part in (1, 2):
        with pytest.raises(DataError, match="list of validation images differs"):
            imagenet_cases.prepare(imagenet_source, first_part, resume=True, part=(part, 4), val_fraction=0, **FOUR)
    assert contents(first_part) == before


@pytest.mark.parametrize("kind", ["imagenet", "coco"])
def test_parts_in_any_order_and_again(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> None:
    cases: Any = {"imagenet": imagenet_cases, "coco": coco_cases}[kind]
    source = request.getfixturevalue(f"pristine_{kind}")
    prepare: Callable[..., dict[str, Any]] = cases.prepare
    options = dataclasses.asdict(cases.SMALL) | {"workers": 1}
    chosen = {key: options[key] for key in ("train_shards", "val_shards", "workers")}
    for number, order in enumerate([(1, 2, 3), (3, 1, 2), (2, 3, 1)]):
        out = tmp_path / str(number)
        for part in order[:2]:
            prepare(source, out, part=(part, 3), resume=number % 2 > 0, **chosen)
            again = prepare(source, out, part=(part, 3), resume=True, **chosen)
            assert again["kept_shards"] > 0
        with pytest.raises(DataError, match=rf"finish them with `mnasnet prepare-{kind} .* --part I/3 --resume`"):
            shards.find_shards(out, "train")
        assert prepare(source, out, part=(order[2], 3), **chosen)["missing_parts"] == []
        assert records(out) == records(request.getfixturevalue(f"{kind}_records"))
        assert prepare(source, out, resume=True, **chosen)["kept_shards"] == sum(
            chosen[key] for key in ("train_shards", "val_shards")
        )


def test_the_advice_in_messages_works(mnasnet: Any, pristine_coco: Path, tmp_path: Path) -> None:
    command = ["prepare-coco", pristine_coco, tmp_path / "out"]
    flags = ["--train-shards", 2, "--val-shards", 2]
    assert mnasnet(*command, *flags, "--part", "1/4").code == 0
    advice = mnasnet("inspect", tmp_path / "out")
    assert (advice.code, len(advice.err.splitlines())) == (2, 1)
    assert "--part I/4 --resume` for I from 1 to 4" in advice.err
    before = contents(tmp_path / "out")
    for more in ([], flags):
        refused = mnasnet(*command, *more, "--resume")
        errors = [line for line in refused.lines if not line.startswith("COCO annotations")]
        assert (refused.code, len(errors)) == (2, 1), refused.err
    assert contents(tmp_path / "out") == before
    for part in (1, 2, 3, 4):  # the numbers of shards are those of the first run, with or without the flags
        assert mnasnet(*command, *(flags if part % 2 else ()), "--part", f"{part}/4", "--resume").code == 0
    assert mnasnet("inspect", tmp_path / "out").code == 0
    assert not list((tmp_path / "out").glob("unfinished*"))


def test_a_part_does_not_warn_of_splits_that_others_write(mnasnet: Any, imagenet_source: Path, tmp_path: Path) -> None:
    flags = ["--train-shards", 2, "--val-shards", 1, "--part", "2/2"]
    result = mnasnet("prepare-imagenet", imagenet_source, tmp_path / "out", *flags)
    assert result.code == 0, result.err
    assert "--part 1/2" in result.err
    assert "warning" not in result.err
    shutil.rmtree(imagenet_source / "val")
    result = mnasnet("prepare-imagenet", imagenet_source, tmp_path / "other", *flags, "--val-fraction", 0)
    assert "warning: the source has no validation images" in result.err


def test_a_part_does_not_warn_of_boxes_that_others_have(mnasnet: Any, coco_source: Path, tmp_path: Path) -> None:
    coco_cases.change(coco_source, lambda content: content.update(annotations=[]), "val")
    command = ["prepare-coco", coco_source, tmp_path / "out", "--train-shards", 2, "--val-shards", 2]
    for part in ("1/2", "2/2"):
        result = mnasnet(*command, "--part", part)
        assert ("warning: validation: 4 images, and none of them has a box" in result.err) == (part == "2/2"), (
            result.err
        )
