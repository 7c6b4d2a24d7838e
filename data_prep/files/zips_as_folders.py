"""A folder that holds zips, as a tree in which each zip is a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import IO

from data_prep.files.archives import FileEntry
from data_prep.files.file_list import Place
from data_prep.files.tree import FolderTree, Listing, Tree, ZipTree


class ZipsAsFolders:
    """A folder on disk; the zips directly in it look like folders with their names: "train.zip" is "train"."""

    archive = "zip"

    def __init__(self, path: Path, zips: dict[str, str]) -> None:
        """zips: folder → name of the zip that stands for it."""
        self.path = path
        self._folder = FolderTree(path)
        self._zips = zips
        self._open: dict[str, ZipTree] = {}

    def _find(self, name: str) -> tuple[Tree, str]:
        """Return the tree that holds a folder or file, and its name there."""
        first, _, rest = name.partition("/")
        if first not in self._zips:
            return self._folder, name
        if first not in self._open:
            self._open[first] = ZipTree(self.path / self._zips[first])
        return self._open[first], rest

    def listing(self, folder: str = "") -> Listing:
        """See `Tree`."""
        tree, name = self._find(folder)
        found = tree.listing(name)
        if folder:
            return found
        zips = self._zips.values()
        return Listing(sorted([*found.folders, *self._zips]), [file for file in found.files if file.name not in zips])

    def names(self, folder: str = "") -> tuple[list[str], list[str]]:
        """See `Tree`."""
        tree, name = self._find(folder)
        folders, files = tree.names(name)
        return (folders, files) if folder else ([*folders, *self._zips], files)

    def folders(self, folder: str = "") -> list[str]:
        """See `Tree`."""
        return sorted(self.names(folder)[0])

    def files(self, folder: str = "") -> list[FileEntry]:
        """See `Tree`."""
        tree, name = self._find(folder)
        return tree.files(name)

    def file_names(self, folder: str = "") -> list[str]:
        """See `Tree`."""
        return sorted(self.names(folder)[1])

    def find(self, name: str) -> FileEntry | None:
        """See `Tree`."""
        tree, inner = self._find(name)
        found = tree.find(inner)
        return found and found._replace(name=name)

    def open(self, name: str) -> IO[bytes]:
        """See `Tree`."""
        tree, inner = self._find(name)
        return tree.open(inner)

    def place(self, folder: str = "") -> Place:
        """See `Tree`."""
        tree, name = self._find(folder)
        return tree.place(name)

    def show(self, name: str) -> str:
        """See `Tree`."""
        tree, inner = self._find(name)
        return tree.show(inner)


def with_zips(path: Path, is_wanted: Callable[[str], bool]) -> Tree:
    """Return the tree of a folder in which its zips are folders, where `is_wanted` says so for the folder's name.

    A zip whose name is also that of a folder is left alone: it is where the folder came from.
    """
    folder = FolderTree(path)
    folders, files = folder.names()
    zips = {name[:-4]: name for name in sorted(files) if name.lower().endswith(".zip")}
    zips = {name: file for name, file in zips.items() if name not in folders and is_wanted(name)}
    return ZipsAsFolders(path, zips) if zips else folder
