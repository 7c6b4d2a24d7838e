"""Whole shards or none, the order, the journal, and the workers."""

from __future__ import annotations

import os
import signal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from data_prep.shards import Journal, ShardWriter, check_plan, is_whole, remove_partial, shard_range, shuffled
from data_prep.workers import Report, run_tasks
from mnasnet_cli.errors import ConfigError, DataError, EnvironmentProblem
from mnasnet_cli.records.tfrecord import read_records


def test_shard_appears_only_when_whole(tmp_path: Path) -> None:
    path = tmp_path / "train-00000-of-00001"
    with ShardWriter(path) as shard:
        shard.write(b"one")
        assert not path.exists()
        shard.write(b"two")
    assert list(read_records(path)) == [b"one", b"two"]
    assert (shard.examples, shard.bytes) == (2, path.stat().st_size)
    assert is_whole(path, 2, shard.bytes)
    assert not is_whole(path, 3)
    assert not is_whole(tmp_path / "nothing", 0)


def test_shard_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> None:
        with ShardWriter(tmp_path / "train-00000-of-00001") as shard:
            shard.write(b"one")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_remains_of_killed_writers_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".train-00000-of-00002.partial-77").touch()
    (tmp_path / ".train-00001-of-00002.partial-78").touch()  # may belong to another part's running process
    remove_partial(tmp_path, {"train-00000-of-00002"})
    assert [path.name for path in tmp_path.iterdir()] == [".train-00001-of-00002.partial-78"]


def test_order_follows_from_the_seed() -> None:
    assert list(shuffled(8, "0 train")) == [5, 1, 0, 4, 2, 6, 3, 7]  # pinned: existing records depend on it
    assert sorted(shuffled(1000, "x")) == list(range(1000))
    assert shuffled(100, "1 train") != shuffled(100, "0 train")


def test_shard_ranges_cover_all_and_differ_by_one() -> None:
    ranges = [shard_range(index, 7, 100) for index in range(7)]
    assert ranges[0][0] == 0
    assert ranges[-1][1] == 100
    assert all(before[1] == after[0] for before, after in pairwise(ranges))
    assert {end - start for start, end in ranges} == {14, 15}


def test_journal_survives_a_torn_line_and_knows_its_plan(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path, {"seed": 0, "train_shards": 4})
    journal.begin()
    journal.add({"shard": "a", "examples": 3})
    with open(path, "a") as file:
        file.write('{"shard": "b", "exam')
    again = Journal(path, {"seed": 0, "train_shards": 4})
    again.load()
    assert again.entries == {"a": {"shard": "a", "examples": 3}}
    with pytest.raises(ConfigError, match=r"--seed \(was 0, is 5\) differs from the run that began"):
        Journal(path, {"seed": 5, "train_shards": 4}).load()


def test_plans_differ_in_the_source_or_in_flags(tmp_path: Path) -> None:
    plan = {"train_shards": 2, "validation_shards": 1, "seed": 0, "list_of_train_images": "a", "list_of_val": "b"}
    check_plan(tmp_path, plan, dict(plan))
    flags = r"--train-shards \(was 2, is 100\) and --val-shards \(was 1, is 10\) differ from"
    with pytest.raises(ConfigError, match=flags):
        check_plan(tmp_path, plan, plan | {"train_shards": 100, "validation_shards": 10})
    with pytest.raises(DataError, match="list of train images differs"):  # whatever the number of shards
        check_plan(tmp_path, plan, plan | {"train_shards": 100, "list_of_train_images": "c"})
    with pytest.raises(DataError, match="list of val differs"):  # a split that is gone
        check_plan(tmp_path, plan, {key: value for key, value in plan.items() if "val" not in key})


def square(shared: int, task: tuple[int], report: Report) -> int:
    report(task[0])
    if task[0] == 13:
        raise DataError("thirteen")
    if task[0] == 66:
        os.kill(os.getpid(), signal.SIGKILL)
    if task[0] == 99:
        raise KeyError("a bug")
    return shared * task[0] ** 2


def run(numbers: list[int], workers: int = 2) -> tuple[list[int], list[int]]:
    results: list[int] = []
    progress: list[int] = []
    tasks: Any = [(number,) for number in numbers]
    run_tasks(square, 10, tasks, workers=workers, on_result=results.append, on_progress=progress.append)
    return results, progress


def test_pool_runs_every_task_once() -> None:
    results, progress = run(list(range(10)))
    assert sorted(results) == [10 * number**2 for number in range(10)]
    assert progress[0] == 0
    assert progress[-1] == sum(range(10))
    assert run([]) == ([], [0])


@pytest.mark.parametrize(
    ("task", "kind", "message"),
    [
        (13, DataError, "^thirteen$"),
        (66, EnvironmentProblem, r"a worker process died \(signal 9, perhaps for want of memory"),
        (99, RuntimeError, "KeyError: 'a bug'"),
    ],
)
def test_pool_reports_failures(task: int, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        run([1, 2, task, 3, 4])
