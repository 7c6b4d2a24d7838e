"""Shards appear when they are complete; their records have a fixed order."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from data_prep.writing.shards import ShardWriter, is_complete, remove_partial, shard_range, shuffled
from mnasnet_cli.records.tfrecord import read_records


def test_shard_appears_only_when_complete(tmp_path: Path) -> None:
    path = tmp_path / "train-00000-of-00001"
    with ShardWriter(path) as shard:
        shard.write(b"one")
        assert not path.exists()
        shard.write(b"two")
    assert list(read_records(path)) == [b"one", b"two"]
    assert (shard.examples, shard.bytes) == (2, path.stat().st_size)
    assert is_complete(path, 2, shard.bytes)
    assert not is_complete(path, 3)
    assert not is_complete(tmp_path / "nothing", 0)


def test_an_error_leaves_no_shard(tmp_path: Path) -> None:
    def interrupted() -> None:
        with ShardWriter(tmp_path / "train-00000-of-00001") as shard:
            shard.write(b"one")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_files_of_killed_writers_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".train-00000-of-00002.partial-77").touch()
    (tmp_path / ".train-00001-of-00002.partial-78").touch()  # may belong to another part's running process
    remove_partial(tmp_path, {"train-00000-of-00002"})
    assert [path.name for path in tmp_path.iterdir()] == [".train-00001-of-00002.partial-78"]


def test_the_order_depends_on_the_seed() -> None:
    assert list(shuffled(8, "0 train")) == [5, 1, 0, 4, 2, 6, 3, 7]  # existing records depend on this order
    assert sorted(shuffled(1000, "x")) == list(range(1000))
    assert shuffled(100, "1 train") != shuffled(100, "0 train")


def test_shard_ranges_cover_all_and_differ_by_one() -> None:
    ranges = [shard_range(index, 7, 100) for index in range(7)]
    assert ranges[0][0] == 0
    assert ranges[-1][1] == 100
    assert all(before[1] == after[0] for before, after in pairwise(ranges))
    assert {end - start for start, end in ranges} == {14, 15}
