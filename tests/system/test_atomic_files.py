"""Files are written completely or not at all."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mnasnet_cli.errors import EnvironmentProblem
from mnasnet_cli.system.files import (
    TEMPORARY,
    append_atomically,
    make_folder,
    remove_abandoned,
    temporary_folder,
    try_lock,
    write_atomically,
    write_error,
)


def test_text_and_bytes_replace_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old é")
    assert path.read_bytes() == "old é".encode()
    write_atomically(path, memoryview(b"\0\xff"))
    assert path.read_bytes() == b"\0\xff"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")
    monkeypatch.setattr(os, "fsync", _fail)  # where a network disk reports that it is full
    with pytest.raises(EnvironmentProblem, match="file: no space left"):
        write_atomically(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(EnvironmentProblem, match=r"no/file: no such file or directory"):
        write_atomically(tmp_path / "no" / "file", "new")


def _fail(descriptor: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def fsync(descriptor: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")

    replace = os.replace
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", lambda *names: (done.append("name"), replace(*names)))
    write_atomically(tmp_path / "file", "new")
    assert done == ["file", "name", "folder"]


def test_links_are_followed_and_devices_are_written_to(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    link.symlink_to(target)
    write_atomically(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    write_atomically(Path("/dev/null"), "nothing")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_long_names_and_names_that_are_not_utf_8(tmp_path: Path) -> None:
    write_atomically(tmp_path / ("n" * 255), "text")
    write_atomically(tmp_path / "names", "photo-\udcff.jpg")
    assert (tmp_path / "names").read_text(encoding="utf-8") == r"photo-\udcff.jpg"


def test_files_of_killed_processes_are_removed(tmp_path: Path) -> None:
    abandoned = [tmp_path / f".0123{number}{TEMPORARY}" for number in range(2)]
    abandoned[0].mkdir()
    (abandoned[0] / "half").write_text("")
    abandoned[1].write_text("half")
    kept = [tmp_path / ".notes.tmp", tmp_path / f".5678{TEMPORARY}"]
    kept[0].write_text("mine")
    with kept[1].open("w") as running:
        assert try_lock(running)
        write_atomically(tmp_path / "file", "new")
        assert sorted(tmp_path.iterdir()) == sorted([*kept, tmp_path / "file"])


def test_a_killed_writer_leaves_nothing_for_long(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; import mnasnet_cli.system.files as files\n"
        "os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)\n"
        "files.write_atomically(Path(sys.argv[1]), 'new')\n"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "file"], check=False)
    assert [path.name.endswith(TEMPORARY) for path in tmp_path.iterdir()] == [True]
    remove_abandoned(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_temporary_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    killed, elsewhere = tmp_path / f".killed{TEMPORARY}", tmp_path / "elsewhere"
    killed.mkdir()
    elsewhere.mkdir()
    (tmp_path / f".link{TEMPORARY}").symlink_to(elsewhere)
    with temporary_folder() as first, temporary_folder() as second:
        assert sorted(tmp_path.iterdir()) == sorted([first, second, elsewhere, tmp_path / f".link{TEMPORARY}"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [f".link{TEMPORARY}", "elsewhere"]


def test_appending(tmp_path: Path) -> None:
    append_atomically(tmp_path / "file", "one\n")
    append_atomically(tmp_path / "file", "two\n")
    assert (tmp_path / "file").read_text() == "one\ntwo\n"


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "some.txt").write_text("text")
    for folder, reason in (("some.txt", "file exists"), ("some.txt/plots", "not a directory")):
        with pytest.raises(EnvironmentProblem, match=f"cannot write .*/{folder}: {reason}; fix this, then run the"):
            make_folder(tmp_path / folder)
    assert make_folder(tmp_path / "a/b") == [tmp_path / "a/b", tmp_path / "a"]
    assert make_folder(tmp_path / "a/b") == []


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
