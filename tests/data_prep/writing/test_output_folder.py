"""The output folder: checks before a run, the journal, and the clean-up after an error."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from folder_contents import contents
from imagenet_cases import prepare

from data_prep.writing.output_folder import Journal, OutputFolder, check_plan, journal_path
from data_prep.writing.shard_job import BadImageError
from mnasnet_cli.errors import ConfigError, DataError, EnvironmentProblem
from mnasnet_cli.records import dataset_info


def test_a_journal_may_end_within_a_line_and_has_a_plan(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path, {"seed": 0, "train_shards": 4})
    journal.start()
    entry = {
        "shard": "a", "split": "train", "index": 0, "examples": 3, "bytes": 9, "digest": "d", "source": 1,
        "labels": {"1": 3}, "channels": {"3": 3}, "sides": {}, "image_bytes": 5, "bad": [],
    }  # fmt: skip
    journal.add(entry)
    with open(path, "a") as file:
        file.write('[1]\n{"shard": "b", "examples": 1e999}\n{"shard": "b", "exam')
    again = Journal(path, {"seed": 0, "train_shards": 4})
    again.load()
    assert again.entries == {"a": {**entry, "sides": {}}}
    with pytest.raises(ConfigError, match=r"--seed \(was 0, is 5\) differs"):
        Journal(path, {"seed": 5, "train_shards": 4}).load()
    for damage in (b"", b"\xff\xfe", b"[" * 100_000, b"[]", b"9" * 5_000, b"NaN\n"):
        path.write_bytes(damage)  # counts as absent
        again.load()
        assert again.entries == {}


def test_plans_differ_in_the_source_or_in_flags(tmp_path: Path) -> None:
    plan = {"train_shards": 2, "validation_shards": 1, "seed": 0, "list_of_train_images": "a", "list_of_val": "b"}
    check_plan(tmp_path, plan, dict(plan))
    flags = r"--train-shards \(was 2, is 100\) and --val-shards \(was 1, is 10\) differ"
    with pytest.raises(ConfigError, match=flags):
        check_plan(tmp_path, plan, plan | {"train_shards": 100, "validation_shards": 10})
    with pytest.raises(DataError, match="list of train images differs"):  # the numbers of shards may differ too
        check_plan(tmp_path, plan, plan | {"train_shards": 100, "list_of_train_images": "c"})
    with pytest.raises(DataError, match="list of val differs"):  # a split is missing
        check_plan(tmp_path, plan, {key: value for key, value in plan.items() if "val" not in key})


@pytest.mark.parametrize("keep", [False, True])
def test_an_error_removes_what_was_written(tmp_path: Path, keep: bool) -> None:
    out = tmp_path / "a" / "b"

    def fail() -> None:
        with OutputFolder(out) as folder:
            folder.keep = keep
            folder.written.append(out / "shard")
            (out / "shard").touch()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert (out / "shard").exists() == keep
    assert (tmp_path / "a").exists() == keep


def test_journals_have_the_parts_in_their_names(tmp_path: Path) -> None:
    assert journal_path(tmp_path, 3, 10).name == "unfinished-part-00003-of-00010.jsonl"


def test_an_existing_folder_is_unchanged_after_an_error(imagenet_source: Path, tmp_path: Path) -> None:
    (imagenet_source / "val" / "n90000001" / "n90000001_00000.JPEG").write_text("x")
    out = tmp_path / "a" / "b"
    out.mkdir(parents=True)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(BadImageError):
        prepare(imagenet_source, out)
    assert contents(out) == {"notes.txt": b"mine"}
    with pytest.raises(BadImageError):
        prepare(imagenet_source, out, resume=True, workers=1)  # complete shards may stay
    assert not [path for path in out.iterdir() if "partial" in path.name]
    prepare(imagenet_source, out, resume=True, on_bad_image="skip")
    assert dataset_info.load_dataset_info(out).splits["validation"].examples == 11


@pytest.mark.parametrize("place", ["", "train", "val/n90000001", "train/records", "link"])
def test_records_are_not_written_among_the_images(imagenet_source: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "link").symlink_to(imagenet_source)
    before = sorted(imagenet_source.rglob("*"))
    with pytest.raises(ConfigError, match=r"source.*choose another folder"):
        prepare(imagenet_source, tmp_path / "link" if place == "link" else imagenet_source / place, resume=True)
    assert sorted(imagenet_source.rglob("*")) == before
    prepare(imagenet_source, imagenet_source / "records")  # outside the image folders is fine


def test_folders_that_cannot_be_written(imagenet_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "x"):
        with pytest.raises(DataError, match="is a file"):
            prepare(imagenet_source, out)
    with pytest.raises(EnvironmentProblem, match="/proc/x"):
        prepare(imagenet_source, Path("/proc/x"))
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(DataError, match="read-only"):
        prepare(imagenet_source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
