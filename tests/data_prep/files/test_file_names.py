"""File names of annotation files lead to the files, however they were changed, and never out of the folder."""

from __future__ import annotations

import unicodedata
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from data_prep.files.file_names import (
    ADDRESS,
    BACKSLASH,
    CASE,
    ELSEWHERE,
    FOLDER,
    NORMAL_FORM,
    QUOTED,
    UPLOAD,
    FileFinder,
    Found,
)
from data_prep.files.tree import open_tree

NFC, NFD = (unicodedata.normalize(form, "Übung.jpg") for form in ("NFC", "NFD"))
FILES = (
    "a.jpg", "b c.jpg", "sub/a.jpg", "sub/deep/d.jpg", "Other/E.JPG", "50%25.jpg", NFC, "sub/twin.jpg",
    "Other/twin.jpg", "3f2a1b4c-cat.jpg",
)  # fmt: skip


def find(
    root: Path, files: Iterable[str], names: Iterable[str], folder: str = "set", packing: str = "folder"
) -> list[Found]:
    source = root / "source"
    for name in files:
        path = source / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    (root / "outside.jpg").write_bytes(b"x")
    if packing == "zip":
        with zipfile.ZipFile(root / "source.zip", "w") as archive:
            for name in files:
                archive.write(source / folder / name, f"{folder}/{name}")
        source = root / "source.zip"
    return FileFinder(open_tree(source), folder).find_all(names)


CASES = {
    "a.jpg": ("a.jpg", ()),
    "sub/a.jpg": ("sub/a.jpg", ()),
    "./a.jpg": ("a.jpg", ()),
    "sub//a.jpg": ("sub/a.jpg", ()),
    "sub\\deep\\d.jpg": ("sub/deep/d.jpg", (BACKSLASH,)),
    "images/train/a.jpg": ("a.jpg", (FOLDER,)),
    "images/sub/a.jpg": ("sub/a.jpg", (FOLDER,)),
    "/data/me/set/sub/a.jpg": ("sub/a.jpg", (FOLDER,)),
    "C:\\Users\\me\\sub\\a.jpg": ("sub/a.jpg", (BACKSLASH, FOLDER)),
    "../set/a.jpg": ("a.jpg", (FOLDER,)),
    "../../a.jpg": ("a.jpg", ()),
    "d.jpg": ("sub/deep/d.jpg", (ELSEWHERE,)),
    "x/d.jpg": ("sub/deep/d.jpg", (ELSEWHERE,)),
    "b%20c.jpg": ("b c.jpg", (QUOTED,)),
    "50%25.jpg": ("50%25.jpg", ()),
    "A.JPG": ("a.jpg", (CASE,)),
    "other/e.jpg": ("Other/E.JPG", (CASE,)),
    NFD: (NFC, (NORMAL_FORM,)),
    "https://host/some/sub/a.jpg?size=3": ("sub/a.jpg", (ADDRESS, FOLDER)),
    "s3://bucket/b%20c.jpg": ("b c.jpg", (ADDRESS,)),
    "/data/local-files/?d=set/sub/a.jpg": ("sub/a.jpg", (ADDRESS, FOLDER)),
    "/data/upload/1/3f2a1b4c-cat.jpg": ("3f2a1b4c-cat.jpg", (FOLDER,)),
    "/data/upload/1/abc-a.jpg": ("a.jpg", (UPLOAD,)),
    "../label-studio/media/upload/1/0a0a0a0a-b%20c.jpg": ("b c.jpg", (UPLOAD,)),
    "twin.jpg": (None, ()),  # two files fit
    "x/twin.jpg": (None, ()),
    "a.png": (None, ()),
    "../../outside.jpg": (None, ()),
    "../outside.jpg": (None, ()),
    "": (None, ()),
    "sub": (None, ()),
    "a\0.jpg": (None, ()),
    "\ud800.jpg": (None, ()),
    "a" * 300: (None, ()),
}


@pytest.mark.parametrize("packing", ["folder", "zip"])
@pytest.mark.parametrize("name", CASES)
def test_a_name_leads_to_its_file(tmp_path: Path, name: str, packing: str) -> None:
    [found] = find(tmp_path, FILES, [name], packing=packing)
    expected, changes = CASES[name]
    assert (found.entry and found.entry.name) == expected
    assert found.changes == changes
    assert found.entry is None or found.entry.size == len(found.entry.name.encode())


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["x/a.jpg", "y/a.jpg"], [None, None]),  # two pictures, but one file
        (["a.jpg", "x/a.jpg"], ["a.jpg", None]),
        (["a.jpg", "A.jpg"], ["a.jpg", None]),
        (["a.jpg", "./a.jpg", ".\\a.jpg"], ["a.jpg"] * 3),  # one name, written in other ways
        (["x/a.jpg", "x\\a.jpg"], ["a.jpg"] * 2),
    ],
)
def test_a_file_belongs_to_one_name(tmp_path: Path, names: list[str], expected: list[str | None]) -> None:
    found = find(tmp_path, ["a.jpg", "b.jpg"], names)
    assert [one.entry and one.entry.name for one in found] == expected


def test_prefixes_of_uploads(tmp_path: Path) -> None:
    """They are dropped only if all names that were not found have one: the start of a UUID, not a date."""
    uploads = ["images/0f9e8d7c-one.jpg", "images/12345678-two.jpg"]
    found = find(tmp_path / "uploads", ["one.jpg", "two.jpg"], uploads)
    assert [one.entry and one.entry.name for one in found] == ["one.jpg", "two.jpg"]
    assert [one.changes for one in found] == [(UPLOAD,)] * 2
    dates = ["20240131-one.jpg", "20240201-two.jpg"]
    assert [one.entry for one in find(tmp_path / "dates", ["one.jpg", "two.jpg"], dates)] == [None, None]
    mixed = ["0f9e8d7c-one.jpg", "three.jpg"]
    assert [one.entry for one in find(tmp_path / "mixed", ["one.jpg", "two.jpg"], mixed)] == [None, None]
    files = ["0f9e8d7c-one.jpg", "a2345678-two.jpg"]
    found = find(tmp_path / "files", files, ["one.jpg", "two.jpg"])
    assert [one.entry and one.entry.name for one in found] == files


def test_folders_that_are_skipped(tmp_path: Path) -> None:
    for name in ("val/a.jpg", "more/b.jpg"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"")
    finder = FileFinder(open_tree(tmp_path), "", lambda name: name == "val")
    found = finder.find_all(["a.jpg", "b.jpg", "val/a.jpg"])
    assert [one.entry and one.entry.name for one in found] == [None, "more/b.jpg", "val/a.jpg"]
