"""A source as a tree of folders and files: a folder on disk, or a zip that is read without unpacking."""

from __future__ import annotations

import io
import os
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Protocol

from data_prep.files.archives import FileEntry, list_zip
from data_prep.files.file_list import NO_FILE, NOT_REGULAR, list_folder
from mnasnet_cli.errors import DataError

if TYPE_CHECKING:
    import zipfile

SYSTEM_FOLDERS = ("__MACOSX",)


class Tree(Protocol):
    """Folders and files below `path`. Names of folders and files are relative to it, with "/", and "" is `path` itself.

    archive: "" for a folder, "zip" for a zip; as `FileList` takes it. Hidden names are left out.
    """

    path: Path
    archive: str

    def folders(self, folder: str = "") -> list[str]:
        """Return the names of the folders directly in `folder`, sorted."""

    def files(self, folder: str = "") -> list[FileEntry]:
        """Return the files directly in `folder`, sorted by name; their names are without folders."""

    def find(self, name: str) -> FileEntry | None:
        """Return the file with a relative name, None if there is none. The entry has that name."""

    def open(self, name: str) -> IO[bytes]:
        """Open a file for sequential reading. Raises OSError."""

    def show(self, name: str) -> str:
        """Return the path of a folder or file, for messages."""


def open_tree(path: Path) -> Tree:
    """Return the tree of a folder or zip. Raises DataError if it is neither."""
    if path.is_dir():
        return FolderTree(path)
    if not path.exists():
        raise DataError(f"no folder {path}")
    if path.suffix.lower() == ".zip":
        return ZipTree(path)
    raise DataError(f"{path} is not a folder or a zip")


class FolderTree:
    """A folder on disk. Nothing is remembered: each call looks at the disk."""

    archive = ""

    def __init__(self, path: Path) -> None:
        self.path = path

    def folders(self, folder: str = "") -> list[str]:
        """See `Tree`."""
        with os.scandir(self.path / folder) as entries:
            found = [entry.name for entry in entries if entry.name[0] != "." and entry.is_dir()]
        return sorted(name for name in found if name not in SYSTEM_FOLDERS)

    def files(self, folder: str = "") -> list[FileEntry]:
        """See `Tree`. A dangling link is a file, too: reading it reports what is wrong."""
        found = list_folder(self.path / folder)
        return sorted(file for file in found if file.size != NOT_REGULAR)

    def find(self, name: str) -> FileEntry | None:
        """See `Tree`."""
        path = self.path / name
        if not path.is_file():
            return FileEntry(name, NO_FILE) if path.is_symlink() and not path.exists() else None
        return FileEntry(name, path.stat().st_size)

    def open(self, name: str) -> IO[bytes]:
        """See `Tree`."""
        return io.BufferedReader(io.FileIO(self.path / name))

    def show(self, name: str) -> str:
        """See `Tree`."""
        return str(self.path / name)


class ZipTree:
    """A zip."""

    archive = "zip"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: zipfile.ZipFile | None = None  # stays open: to open it again means to list it again
        self._folders: dict[str, dict[str, FileEntry]] = {"": {}}
        for entry in list_zip(path):
            if _is_hidden(entry.name):
                continue
            folder, _, name = entry.name.rpartition("/")
            self._folders.setdefault(folder, {})[name] = entry._replace(name=name)
        for folder in list(self._folders):  # folders that hold only folders
            for parent in PurePosixPath(folder).parents:
                self._folders.setdefault("" if str(parent) == "." else str(parent), {})

    def folders(self, folder: str = "") -> list[str]:
        """See `Tree`."""
        start = f"{folder}/" if folder else ""
        inside = (name.removeprefix(start) for name in self._folders if name.startswith(start) and name != folder)
        return sorted(name for name in inside if name and "/" not in name)

    def files(self, folder: str = "") -> list[FileEntry]:
        """See `Tree`."""
        return sorted(self._folders.get(folder, {}).values())

    def find(self, name: str) -> FileEntry | None:
        """See `Tree`."""
        folder, _, last = name.rpartition("/")
        entry = self._folders.get(folder, {}).get(last)
        return entry and entry._replace(name=name)

    def open(self, name: str) -> IO[bytes]:
        """See `Tree`."""
        import zipfile  # only where zips are read

        if self._file is None:
            self._file = zipfile.ZipFile(self.path)
        return self._file.open(name)

    def show(self, name: str) -> str:
        """See `Tree`."""
        return f"{self.path}/{name}"


def _is_hidden(name: str) -> bool:
    parts = name.split("/")
    return any(part.startswith(".") for part in parts) or parts[0] in SYSTEM_FOLDERS
