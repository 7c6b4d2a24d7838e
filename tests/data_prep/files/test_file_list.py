"""Lists of files in folders, and in archives that a worker opens itself."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import pytest

from data_prep.files.archives import FileEntry, list_zip
from data_prep.files.file_list import NO_FILE, NOT_REGULAR, FileList, list_folder
from mnasnet_cli.records.image_files.header import BadImage


def test_folder(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"abc")
    (tmp_path / ".hidden").touch()
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "dangling.jpg").symlink_to("nowhere")
    (tmp_path / "link.jpg").symlink_to("a.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    assert {entry.name: entry.size for entry in list_folder(tmp_path)} == {
        "a.jpg": 3, "folder.jpg": NOT_REGULAR, "dangling.jpg": NO_FILE, "link.jpg": 3, "pipe.jpg": NOT_REGULAR,
    }  # fmt: skip


@pytest.mark.parametrize("size", [0, 2, 3, 5])
def test_a_file_may_have_changed_its_size(tmp_path: Path, size: int) -> None:
    (tmp_path / "a.jpg").write_bytes(b"abc")
    files = FileList(tmp_path)
    files.append(FileEntry("a.jpg", size))
    assert files.read(0) == b"abc"


def test_names_and_paths(tmp_path: Path) -> None:
    files = FileList(tmp_path)
    names = ["é.jpg", "sub/b.jpg", os.fsdecode(b"\xff.jpg"), "é.jpg"]
    for name in names:
        files.append(FileEntry(name, 0))
    assert [files.name(index) for index in range(len(files))] == names
    assert files.path(1) == f"{tmp_path}/sub/b.jpg"
    other = FileList(tmp_path)
    for name in ("é.jpgs", "ub/b.jpg", *names[2:]):  # the same bytes, but other names
        other.append(FileEntry(name, 0))
    assert other.name_bytes() != files.name_bytes()


@pytest.mark.parametrize(
    ("archive", "size", "reason"),
    [
        ("", NO_FILE, "no such file"),
        ("", NOT_REGULAR, "not a file"),
        ("zip", NO_FILE, "not in the zip"),
        ("tar", NO_FILE, "not in the tar"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, archive: str, size: int, reason: str) -> None:
    files = FileList(tmp_path, archive)
    files.append(FileEntry("a.jpg", size))
    with pytest.raises(BadImage, match=reason):
        files.read(0)


def test_a_pickled_list_opens_the_archive_again(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.jpg", b"abc")
    files = FileList(tmp_path / "a.zip", "zip")
    files.append(list_zip(tmp_path / "a.zip")[0])
    assert files.read(0) == b"abc"  # opens the file
    copy = pickle.loads(pickle.dumps(files))
    assert copy.read(0) == b"abc"
    (tmp_path / "a.zip").unlink()
    assert files.read(0) == b"abc"  # has the file open
    assert copy.read(0) == b"abc"
