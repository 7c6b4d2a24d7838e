"""A source as a tree of folders and files: a folder on disk, or a zip that is read without unpacking."""

from __future__ import annotations

import errno
import functools
import io
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from data_prep.files.archives import FileEntry, list_zip
from data_prep.files.file_list import NO_FILE, NOT_REGULAR, Place
from mnasnet_cli.errors import DataError

if TYPE_CHECKING:
    import zipfile

T = TypeVar("T")
SYSTEM_FOLDERS = (
    "__MACOSX", "System Volume Information", "$RECYCLE.BIN", "$Recycle.Bin", "#recycle", "@eaDir", "lost+found",
)  # fmt: skip
REMEMBERED = 8  # folders whose names are remembered
DEEPEST = 12  # folders within folders that `walk` follows; a link may lead back up


class Listing(NamedTuple):
    """What is directly in a folder: names of folders and files, sorted. A pipe or a device has the size NOT_REGULAR."""

    folders: list[str]
    files: list[FileEntry]


class Tree(Protocol):
    """Folders and files below `path`. Names of folders and files are relative to it, with "/", and "" is `path` itself.

    archive: "" for a folder, "zip" for a zip; as `FileList` takes it. Hidden names are left out.
    """

    path: Path
    archive: str

    def listing(self, folder: str = "") -> Listing:
        """Return what is directly in `folder`."""

    def names(self, folder: str = "") -> tuple[list[str], list[str]]:
        """Return the names of the folders and files directly in `folder`, in any order. It is faster than `listing`."""

    def folders(self, folder: str = "") -> list[str]:
        """Return the names of the folders directly in `folder`, sorted."""

    def files(self, folder: str = "") -> list[FileEntry]:
        """Return the files directly in `folder`, sorted by name; their names are without folders."""

    def file_names(self, folder: str = "") -> list[str]:
        """Return the names of these files, sorted. This is faster where sizes are not needed."""

    def find(self, name: str) -> FileEntry | None:
        """Return the file with a relative name, None if there is none. The entry has that name."""

    def open(self, name: str) -> IO[bytes]:
        """Open a file for sequential reading. Raises OSError."""

    def place(self, folder: str = "") -> Place:
        """Return where the files of a folder are read."""

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


def join(folder: str, name: str) -> str:
    """Return the relative name of what is in a folder of a tree."""
    return f"{folder}/{name}" if folder and name else folder or name


def walk(tree: Tree, folder: str = "") -> Iterator[tuple[str, Listing]]:
    """Yield the name and the content of `folder` and of every folder below it, in the order of the names.

    A folder that the caller takes out of the list of folders is left out, as in `os.walk`.
    """
    pending = [(folder, 0)]
    while pending:
        name, depth = pending.pop()
        listing = tree.listing(name)
        yield name, listing
        if depth < DEEPEST:
            pending += [(join(name, inner), depth + 1) for inner in reversed(listing.folders)]


class FolderTree:
    """A folder on disk. Only the last names are remembered: to find out what a folder is, they are read many times."""

    archive = ""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last_names = functools.lru_cache(REMEMBERED)(self._names)

    def listing(self, folder: str = "") -> Listing:
        """See `Tree`. A dangling link is a file, too: reading it reports what is wrong."""
        folders, files = self._scan(folder, lambda entry: FileEntry(entry.name, _size(entry)))
        return Listing(sorted(folders), sorted(files))

    def names(self, folder: str = "") -> tuple[list[str], list[str]]:
        """See `Tree`."""
        return self._last_names(folder)

    def _names(self, folder: str) -> tuple[list[str], list[str]]:
        return self._scan(folder, lambda entry: entry.name)

    def _scan(self, folder: str, describe: Callable[[os.DirEntry[str]], T]) -> tuple[list[str], list[T]]:
        folders, files = [], []
        with os.scandir(_possible(self.path / folder)) as entries:
            for entry in entries:
                if entry.name[0] == "." or entry.name in SYSTEM_FOLDERS:
                    continue
                if not entry.is_dir():
                    files.append(describe(entry))
                elif not (entry.is_symlink() and _leads_up(entry.path)):
                    folders.append(entry.name)
        return folders, files

    def folders(self, folder: str = "") -> list[str]:
        """See `Tree`."""
        return sorted(self.names(folder)[0])

    def files(self, folder: str = "") -> list[FileEntry]:
        """See `Tree`."""
        return [file for file in self.listing(folder).files if file.size != NOT_REGULAR]

    def file_names(self, folder: str = "") -> list[str]:
        """See `Tree`."""
        return sorted(self.names(folder)[1])

    def find(self, name: str) -> FileEntry | None:
        """See `Tree`."""
        path = self.path / name
        if not path.is_file():
            return FileEntry(name, NO_FILE) if path.is_symlink() and not path.exists() else None
        return FileEntry(name, path.stat().st_size)

    def open(self, name: str) -> IO[bytes]:
        """See `Tree`."""
        path = _possible(self.path / name)
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe waits for its writer, and a device may never end
            raise OSError(0, "it is a pipe, a device or a folder", str(path))
        return io.BufferedReader(io.FileIO(path))

    def place(self, folder: str = "") -> Place:
        """See `Tree`."""
        return Place(self.show(folder))

    def show(self, name: str) -> str:
        """See `Tree`."""
        return os.path.join(self.path, name) if name else str(self.path)


def _possible(path: Path) -> Path:
    """Return a path. Raises FileNotFoundError if no file can have it: with a NUL, or half a surrogate pair."""
    try:
        if b"\0" not in os.fsencode(path):
            return path
    except UnicodeEncodeError:
        pass
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), ascii(str(path)))


def _size(entry: os.DirEntry[str]) -> int:
    try:
        status = entry.stat()
    except OSError:
        return NO_FILE
    return status.st_size if stat.S_ISREG(status.st_mode) else NOT_REGULAR


def _leads_up(link: str) -> bool:
    """Tell whether a link leads to a folder that contains it. Following it would never end."""
    target = os.path.realpath(link)
    return os.path.commonpath([target, os.path.realpath(os.path.dirname(link))]) == target


class ZipTree:
    """A zip."""

    archive = "zip"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip: zipfile.ZipFile | None = None  # stays open: to open it again means to list it again
        self._files: dict[str, dict[str, FileEntry]] = {"": {}}  # folder → name → file
        self._folders: dict[str, set[str]] = {"": set()}  # folder → names of the folders in it
        self._stored_names: dict[str, str] = {}  # name → name in the zip, where they differ
        for entry in list_zip(path):
            name = _as_utf8(entry.name).replace("\\", "/")  # some programs on Windows write "\"
            if _is_hidden(name):
                continue
            if name != entry.name:
                self._stored_names[name] = entry.name
            folder, _, last = name.rpartition("/")
            if folder not in self._files:
                self._add_folder(folder)
            self._files[folder][last] = entry._replace(name=last)

    def _add_folder(self, folder: str) -> None:
        """Add a folder and those above it."""
        self._files[folder], self._folders[folder] = {}, set()
        above, _, last = folder.rpartition("/")
        if above not in self._folders:
            self._add_folder(above)
        self._folders[above].add(last)

    def listing(self, folder: str = "") -> Listing:
        """See `Tree`."""
        return Listing(self.folders(folder), self.files(folder))

    def names(self, folder: str = "") -> tuple[list[str], list[str]]:
        """See `Tree`."""
        return list(self._folders.get(folder, ())), list(self._files.get(folder, {}))

    def folders(self, folder: str = "") -> list[str]:
        """See `Tree`."""
        return sorted(self._folders.get(folder, ()))

    def files(self, folder: str = "") -> list[FileEntry]:
        """See `Tree`."""
        return sorted(self._files.get(folder, {}).values())

    def file_names(self, folder: str = "") -> list[str]:
        """See `Tree`."""
        return sorted(self._files.get(folder, {}))

    def find(self, name: str) -> FileEntry | None:
        """See `Tree`."""
        folder, _, last = name.rpartition("/")
        entry = self._files.get(folder, {}).get(last)
        return entry and entry._replace(name=name)

    def open(self, name: str) -> IO[bytes]:
        """See `Tree`."""
        import zipfile  # only where zips are read

        if self._zip is None:
            self._zip = zipfile.ZipFile(self.path)
        try:
            return self._zip.open(self._stored_names.get(name, name))
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.show(name)) from None

    def place(self, folder: str = "") -> Place:
        """See `Tree`."""
        return Place(self.show(folder), "zip", str(self.path))

    def show(self, name: str) -> str:
        """See `Tree`."""
        return f"{self.path}/{name}" if name else str(self.path)


def _as_utf8(name: str) -> str:
    """Return a name in a zip as it was meant: many programs write UTF-8 without saying so, which is read as cp437."""
    if name.isascii():
        return name
    try:
        return name.encode("cp437").decode()
    except UnicodeError:
        return name


def _is_hidden(name: str) -> bool:
    parts = name.split("/")
    return any(part.startswith(".") or part in SYSTEM_FOLDERS for part in parts)
