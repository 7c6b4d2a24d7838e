"""Files are written completely or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mnasnet_cli.errors import EnvironmentProblem
from mnasnet_cli.system.files import append_atomically, replace_atomically, try_lock, write_atomically, write_error


def test_a_file_is_replaced_at_the_end_of_the_block(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with replace_atomically(path) as temporary:
        temporary.write_text("new")
        assert temporary.parent == tmp_path
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old é")
    with contextlib.suppress(KeyError), replace_atomically(path) as temporary:
        temporary.write_text("new")
        raise KeyError
    assert path.read_text(encoding="utf-8") == "old é"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(EnvironmentProblem, match=r"no/file: no such file or directory"):
        write_atomically(tmp_path / "no" / "file", "new")


def test_appending(tmp_path: Path) -> None:
    append_atomically(tmp_path / "file", "one\n")
    append_atomically(tmp_path / "file", "two\n")
    assert (tmp_path / "file").read_text() == "one\ntwo\n"


def test_a_full_disk_leaves_complete_lines_and_files(small_disk: Path, fill: Callable[[], Path]) -> None:
    path = small_disk / "metrics.jsonl"
    append_atomically(path, "first\n")
    write_atomically(small_disk / "config.yaml", "old")
    filler = fill()
    with pytest.raises(EnvironmentProblem, match=r"metrics\.jsonl.*no space left on device"):
        append_atomically(path, "x" * 10_000 + "\n")
    assert path.read_text() == "first\n"
    with pytest.raises(EnvironmentProblem, match=r"config\.yaml.*no space left on device"):
        write_atomically(small_disk / "config.yaml", "n" * 10_000)
    assert (small_disk / "config.yaml").read_text() == "old"
    assert sorted(os.listdir(small_disk)) == ["config.yaml", "filler", "metrics.jsonl"]
    filler.unlink()
    append_atomically(path, "last\n")
    assert path.read_text().endswith("last\n")


def test_one_process_holds_a_lock(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as first, (tmp_path / "lock").open("w") as second:
        assert try_lock(first)
        assert not try_lock(second)
        first.close()
        assert try_lock(second)


@pytest.mark.parametrize(
    ("error", "facts"),
    [
        (OSError(errno.ENOSPC, "x"), ["no space left on device", "disk space"]),
        (OSError(errno.EACCES, "x"), ["permission denied"]),
        (OSError("the converter failed"), ["the converter failed"]),
    ],
)
def test_messages_say_the_reason_and_the_next_step(error: OSError, facts: list[str]) -> None:
    message = str(write_error(Path("out/model"), error, "choose another folder with --out"))
    assert all(fact in message for fact in ["out/model", *facts, "choose another folder with --out"])
