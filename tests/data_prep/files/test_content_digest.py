"""The digest of a file's content is the same in a folder, a tar and a zip."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest

from data_prep.files.archives import FileEntry, list_tar, list_zip
from data_prep.files.content_digest import UNREADABLE, WINDOW, content_digests
from data_prep.files.file_list import NO_FILE, FileList, list_folder

SIZES = (0, 1, WINDOW, 3 * WINDOW, 3 * WINDOW + 1, 10 * WINDOW)


def contents() -> dict[str, bytes]:
    return {f"{size}.jpg": bytes(number % 251 for number in range(size)) for size in SIZES}


def digests(base: Path, entries: list[FileEntry], archive: str) -> dict[str, int]:
    table = FileList(base, archive)
    for entry in entries:
        table.append(entry)
    return {table.name(index): int(digest) for index, digest in enumerate(content_digests(table))}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for name, content in contents().items():
        (tmp_path / "images" / name).write_bytes(content)
    return tmp_path / "images"


def test_folder_tar_and_zips_agree(folder: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(folder, "")
    for name, method in (("stored.zip", zipfile.ZIP_STORED), ("deflated.zip", zipfile.ZIP_DEFLATED)):
        with zipfile.ZipFile(tmp_path / name, "w", method) as archive:
            for path in folder.iterdir():
                archive.write(path, path.name)
    expected = digests(folder, list_folder(folder), "")
    assert len(set(expected.values())) == len(SIZES)
    assert digests(tmp_path / "a.tar", list_tar(tmp_path / "a.tar"), "tar") == expected
    for name in ("stored.zip", "deflated.zip"):
        assert digests(tmp_path / name, list_zip(tmp_path / name), "zip") == expected


@pytest.mark.parametrize("place", [0, 5 * WINDOW, 10 * WINDOW - 1])
def test_a_change_at_the_start_in_the_middle_or_at_the_end_counts(folder: Path, place: int) -> None:
    name = f"{10 * WINDOW}.jpg"
    before = digests(folder, list_folder(folder), "")
    content = bytearray(contents()[name])
    content[place] ^= 1
    (folder / name).write_bytes(content)
    after = digests(folder, list_folder(folder), "")
    assert [key for key in before if before[key] != after[key]] == [name]


def test_a_file_that_cannot_be_read(folder: Path) -> None:
    found = digests(folder, [FileEntry("none.jpg", NO_FILE), FileEntry("1.jpg", 1)], "")
    assert found["none.jpg"] == UNREADABLE
    assert found["1.jpg"] != UNREADABLE
