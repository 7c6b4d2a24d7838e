"""A folder and a zip of it look the same, and their files are read from where they lie."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from data_prep.files.file_list import FileList
from data_prep.files.tree import Tree, open_tree, walk

FILES = {
    "a.txt": b"top",
    "train/cat/1.jpg": b"cat",
    "train/dog/deep/2.jpg": b"dog",
    ".git/x.jpg": b"hidden",
    "train/.hidden.jpg": b"hidden",
    "__MACOSX/train/._1.jpg": b"macOS",
}


@pytest.fixture(params=["folder", "zip", "zip of Windows"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Tree:
    root = tmp_path / "source"
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    if request.param == "folder":
        return open_tree(root)
    with zipfile.ZipFile(tmp_path / "source.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in FILES.items():
            info = zipfile.ZipInfo(name)
            info.filename = name.replace("/", "\\") if request.param == "zip of Windows" else name
            archive.writestr(info, content)
    shutil.rmtree(root)
    return open_tree(tmp_path / "source.zip")


def test_folders_and_files(tree: Tree) -> None:
    assert tree.folders() == ["train"]
    assert tree.folders("train") == ["cat", "dog"]
    assert [file.name for file in tree.files()] == ["a.txt"]
    assert tree.listing("train/dog") == (["deep"], [])
    assert [name for name, _ in walk(tree)] == ["", "train", "train/cat", "train/dog", "train/dog/deep"]
    found = tree.find("train/cat/1.jpg")
    assert found
    assert (found.name, found.size) == ("train/cat/1.jpg", 3)
    assert tree.find("train/cat/2.jpg") is None
    assert tree.open("a.txt").read() == b"top"
    with pytest.raises(FileNotFoundError):
        tree.open("b.txt")


def test_files_are_read_from_their_places(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "3.jpg").write_bytes(b"owl")
    other = open_tree(tmp_path / "other")
    files = FileList(tmp_path)
    files.append(other.files()[0], other.place())
    for folder in ("train/cat", "train/dog/deep"):
        files.append(tree.files(folder)[0], tree.place(folder))
    assert [files.read(index) for index in range(3)] == [b"owl", b"cat", b"dog"]
    assert files.read_windows(2, 1)[1] == b"dog"
    assert files.path(0) == str(tmp_path / "other" / "3.jpg")
    assert files.path(2) == tree.show("train/dog/deep/2.jpg")


def test_a_link_that_leads_back_up_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "all").symlink_to(tmp_path)
    (tmp_path / "elsewhere").symlink_to(tmp_path / "cat")
    assert [name for name, _ in walk(open_tree(tmp_path))] == ["", "cat", "elsewhere"]


def test_names_in_utf8_that_the_zip_does_not_declare(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "source.zip", "w") as archive:
        archive.writestr("Café/é.jpg", b"inside")
        archive.writestr("Größe/1.jpg", b"declared")
    data = (tmp_path / "source.zip").read_bytes()
    declared, undeclared = b"PK\1\2\x14\3\x14\0\0\x08", b"PK\1\2\x14\3\x14\0\0\0"
    data = data.replace(declared, undeclared, 1).replace(declared[:2] + b"\3\4\x14\0\0\x08", b"PK\3\4\x14\0\0\0", 1)
    (tmp_path / "source.zip").write_bytes(data)
    tree = open_tree(tmp_path / "source.zip")
    assert tree.folders() == ["Café", "Größe"]
    assert tree.open("Café/é.jpg").read() == b"inside"
    assert tree.open("Größe/1.jpg").read() == b"declared"
