"""The index of records: made once and kept, and made again when it doesn't fit."""

from __future__ import annotations

import gzip
import os
from array import array
from pathlib import Path

import numpy as np
import pytest

from mnasnet_cli.data.record_index import RecordIndex
from mnasnet_cli.errors import DataError
from mnasnet_cli.records import index as index_module
from mnasnet_cli.records.tfrecord import encode_record, read_records

SIZES = [[3, 0, 70], [5], [1000, 2]]


def index_of(folder: Path) -> RecordIndex:
    return RecordIndex.of(index_module.load_index(folder, "train"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Records in three shards, in a folder with an odd name."""
    monkeypatch.setenv("MNASNET_CACHE", str(tmp_path / "cache"))
    place = tmp_path / "odd [*] ?"
    place.mkdir()
    for number, sizes in enumerate(SIZES):
        write(place, number, sizes)
    return place


def write(folder: Path, number: int, sizes: list[int]) -> None:
    records = [encode_record(bytes([number + at]) * size) for at, size in enumerate(sizes)]
    (folder / f"train-{number:05d}-of-00003").write_bytes(b"".join(records))


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The shards whose lengths were read."""
    found: list[Path] = []
    scan = index_module.record_lengths
    monkeypatch.setattr(index_module, "record_lengths", lambda path: found.append(path) or scan(path))
    return found


def test_records_are_found_and_read(folder: Path) -> None:
    index = index_of(folder)
    every = [record for shard in sorted(folder.glob("train-*")) for record in read_records(shard)]
    assert index.counts == (3, 1, 2)
    assert [index.read(number, 1)[0] for number in range(6)] == every
    assert index.read(1, 4) == every[1:5]  # over two borders
    assert index.read(4, 4) == [*every[4:], *every[:2]]  # after the last comes the first
    assert index.offsets.tolist() == [0, 19, 35, 0, 0, 1016]
    assert index.record_bytes == 16 + 1080 / 6


def test_lengths_that_are_known_are_not_read_again(folder: Path, scans: list[Path]) -> None:
    known = {"train-00001-of-00003": array("I", SIZES[1])}
    shards = index_module.load_index(folder, "train", known=known)
    assert [shard.lengths.tolist() for shard in shards] == SIZES
    assert [path.name for path in sorted(scans)] == ["train-00000-of-00003", "train-00002-of-00003"]


def test_an_index_is_made_once_and_kept(folder: Path, scans: list[Path]) -> None:
    made, kept = (index_of(folder) for _ in range(2))
    assert len(scans) == 3
    assert (made.lengths == kept.lengths).all()
    assert (folder / "train.index").exists()


def test_a_folder_that_is_read_only_has_its_index_in_the_cache(
    folder: Path, scans: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = index_module.write_atomically

    def refuse(path: Path, *rest: object, **options: object) -> None:
        if path.parent == folder:
            raise index_module.EnvironmentProblem("read-only")
        write(path, *rest, **options)

    monkeypatch.setattr(index_module, "write_atomically", refuse)
    for _ in range(2):
        assert len(index_of(folder)) == 6
    assert len(scans) == 3
    assert not (folder / "train.index").exists()


def test_an_index_that_can_be_kept_nowhere_is_made_each_time(
    folder: Path, scans: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *rest: object, **options: object) -> None:
        raise index_module.EnvironmentProblem("the disk is full")

    monkeypatch.setattr(index_module, "write_atomically", refuse)
    assert [len(index_of(folder)) for _ in range(2)] == [6, 6]
    assert len(scans) == 6


def test_a_shard_that_changed_makes_the_index_anew(folder: Path, scans: list[Path]) -> None:
    index_of(folder)
    write(folder, 1, [5, 6])
    assert len(index_of(folder)) == 7
    write(folder, 1, [6, 5])  # the same size
    os.utime(folder / "train-00001-of-00003", ns=(1 << 61, 1 << 61))
    assert index_of(folder).lengths.tolist() == [3, 0, 70, 6, 5, 1000, 2]
    assert len(scans) == 9
    for shard in folder.glob("train-*"):
        shard.rename(shard.with_name(shard.name.replace("train", "coco_train.record")))
    assert len(index_of(folder)) == 7
    assert len(scans) == 12


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-1],
        lambda content: content[:-1] + b"\1",
        lambda content: content.replace(b'"records": 3', b'"records": 2'),
        lambda content: content.replace(b'"records": 3', b'"records": -3'),
        lambda content: content.replace(b'"version": 1', b'"version": 2'),
        lambda content: b"[]\n" + content,
        lambda content: b"\xff\n" + content,
    ],
)
def test_a_damaged_index_counts_as_absent(folder: Path, scans: list[Path], damage: object) -> None:
    good = index_of(folder).lengths
    place = folder / "train.index"
    place.write_bytes(damage(place.read_bytes()))  # type: ignore[operator]
    assert (index_of(folder).lengths == good).all()
    assert len(scans) == 6


def test_an_index_may_be_a_folder(folder: Path) -> None:
    (folder / "train.index").mkdir()
    assert np.sum(index_of(folder).lengths) == 1080


def test_damaged_and_missing_shards_are_one_line(folder: Path) -> None:
    shard = folder / "train-00001-of-00003"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(DataError, match="train-00001-of-00003 is not a complete TFRecord file"):
        index_of(folder)
    shard.unlink()
    with pytest.raises(DataError, match="shard train-00001-of-00003 is missing"):
        index_of(folder)


def test_compressed_shards_are_counted_once(folder: Path, scans: list[Path]) -> None:
    plain = index_module.load_index(folder, "train")
    for shard in folder.glob("train-*"):
        shard.write_bytes(gzip.compress(shard.read_bytes()))
    for _ in range(2):
        shards = index_module.load_index(folder, "train")
        assert all(shard.compressed for shard in shards)
        assert [shard.lengths for shard in shards] == [shard.lengths for shard in plain]
    assert len(scans) == 6
    damaged = folder / "train-00002-of-00003"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    with pytest.raises(DataError, match="train-00002-of-00003 is damaged: it is compressed with gzip, and cannot be"):
        index_module.load_index(folder, "train")


def test_a_record_whose_length_looks_like_gzip_is_one(folder: Path) -> None:
    write(folder, 0, [0x088B1F])
    assert not any(shard.compressed for shard in index_module.load_index(folder, "train"))
