"""Long lists of files in little memory. The files are in a folder, a tar or a zip, which is read without unpacking.

The names are in one byte string and the numbers in arrays: about 50 bytes per file, and cheap to send to a worker.
"""

from __future__ import annotations

import copy
import itertools
import os
import stat
import zlib
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from data_prep.files.archives import FileEntry, zip_data_offset
from mnasnet_cli.errors import os_error_reason
from mnasnet_cli.records.image_files.header import MAX_FILE_BYTES, BadImage

if TYPE_CHECKING:
    import numpy as np

NO_FILE, NOT_REGULAR = -1, -2  # in place of the size: the file is missing, or is a folder or a device


class Place(NamedTuple):
    """A folder of files, on disk or in an archive.

    path: of the folder, for opening its files and for messages. archive: "tar", "zip", or "" for a folder on disk.
    file: the archive.
    """

    path: str
    archive: str = ""
    file: str = ""


class FileList:
    """The files of one split, numbered 0..n-1.

    base: their folder, tar or zip; `append` may name another place. archive: "tar", "zip", or "" for a folder.
    sizes: bytes, NO_FILE or NOT_REGULAR.
    labels: the class of each file, None where a file has no class of its own.
    """

    labels: array[int] | None = None

    def __init__(self, base: Path, archive: str = "") -> None:
        self.base, self.archive = str(base), archive
        self.sizes = array("q")
        self._offsets = array("Q")  # only if there is an archive (FileEntry says what)
        self._compressed_sizes, self._deflated, self._crcs = (
            array("q"),
            array("b"),
            array("I"),
        )  # only if there is a zip
        self._names = bytearray()
        self._name_ends = array("Q")
        self._places = [Place(self.base, archive, self.base if archive else "")]
        self._place_numbers = array("I")
        self._descriptors: dict[str, int] = {}  # of the open archives

    def __len__(self) -> int:
        return len(self.sizes)

    def append(self, entry: FileEntry, place: Place | None = None) -> None:
        """Append one file; see `extend`."""
        self.extend((entry,), place)

    def extend(self, entries: Sequence[FileEntry], place: Place | None = None) -> None:
        """Append files. They are in `place`, or else in `base`. Append the files of a place one after the other."""
        if place is not None and place != self._places[-1]:
            self._add_place(place)
        names = [os.fsencode(entry.name) for entry in entries]
        ends = itertools.accumulate(map(len, names), initial=len(self._names))
        self._name_ends.extend(itertools.islice(ends, 1, None))  # without the initial value
        self._names += b"".join(names)
        self.sizes.extend([entry.size for entry in entries])
        self._place_numbers.extend([len(self._places) - 1 if place else 0] * len(entries))
        if self.archive:
            self._offsets.extend([entry.offset for entry in entries])
        if self.archive == "zip":
            self._compressed_sizes.extend([entry.compressed_size for entry in entries])
            self._deflated.extend([entry.deflated for entry in entries])
            self._crcs.extend([entry.crc32 for entry in entries])

    def _add_place(self, place: Place) -> None:
        self._places.append(place)
        files = bytes(len(self))
        if place.archive and not self.archive:
            self._offsets.extend(files)
        if place.archive == "zip" != self.archive:
            for column in (self._compressed_sizes, self._deflated, self._crcs):
                column.extend(files)
        if place.archive and self.archive != "zip":
            self.archive = place.archive

    def _place(self, index: int) -> Place:
        return self._places[self._place_numbers[index]]

    def name(self, index: int) -> str:
        """Return a file's name, as in its FileEntry."""
        return os.fsdecode(bytes(self._names[self._name_start(index) : self._name_ends[index]]))

    def _name_start(self, index: int) -> int:
        return self._name_ends[index - 1] if index else 0

    def path(self, index: int) -> str:
        """Return a file's path, for opening it and for messages. In an archive it is for messages only."""
        return os.path.join(self._place(index).path, self.name(index))

    def classes(self) -> tuple[np.ndarray, np.ndarray]:
        """Return what the files show: the number of a file, and a class, [m] each. Some files may show nothing."""
        import numpy as np

        if self.labels is None:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        return np.arange(len(self)), np.asarray(self.labels, np.int64)

    def select(self, rows: np.ndarray) -> Self:
        """Return the table of some of the files, in the order of the numbers `rows`.

        A subclass with columns of its own takes the same rows of them.
        """
        import numpy as np  # not earlier: it takes longer to load than to list thousands of files

        chosen = copy.copy(self)
        chosen._descriptors = {}
        names = [bytes(self._names[self._name_start(row) : self._name_ends[row]]) for row in rows.tolist()]
        chosen._names = bytearray().join(names)
        chosen._name_ends = array("Q", np.cumsum([len(name) for name in names], dtype=np.uint64).tobytes())
        for column in ("sizes", "_place_numbers", "_offsets", "_compressed_sizes", "_deflated", "_crcs"):
            setattr(chosen, column, take(getattr(self, column), rows))
        if self.labels is not None:
            chosen.labels = take(self.labels, rows)
        return chosen

    def read(self, index: int) -> bytes:
        """Return a file's bytes. Raises BadImage with the reason if it cannot be read."""
        self._check(index)
        if self.sizes[index] > MAX_FILE_BYTES:
            size, most = self.sizes[index] / 1e6, MAX_FILE_BYTES / 1e6
            raise BadImage(f"the file has {size:,.0f} MB, but an image has at most {most:,.0f} MB")
        try:
            if self._place(index).archive:
                return self._read_from_archive(index)
            descriptor = os.open(self.path(index), os.O_RDONLY)
            try:
                return _read_all(descriptor, self.sizes[index])
            finally:
                os.close(descriptor)
        except OSError as error:
            raise BadImage(f"cannot be read: {os_error_reason(error)}") from error

    def read_windows(self, index: int, window: int) -> tuple[int, bytes]:
        """Return a file's size and its first, middle and last `window` bytes; all bytes if it is not larger than that.

        Raises BadImage with the reason if the file cannot be read.
        """
        place = self._place(index)
        if place.archive == "zip" and self._deflated[index]:
            data = self.read(index)
            return len(data), b"".join(data[start:end] for start, end in _windows(len(data), window))
        self._check(index)
        try:
            if place.archive:
                file, size, offset = self._descriptor(place), self.sizes[index], self._offsets[index]
                offset = zip_data_offset(file, offset) if place.archive == "zip" else offset
                return size, _read_windows(file, offset, size, window)
            file = os.open(self.path(index), os.O_RDONLY)
            try:
                size = os.fstat(file).st_size
                return size, _read_windows(file, 0, size, window)
            finally:
                os.close(file)
        except OSError as error:
            raise BadImage(f"cannot be read: {os_error_reason(error)}") from error

    def _check(self, index: int) -> None:
        """Raise BadImage if there is no file to read."""
        if self.sizes[index] == NOT_REGULAR:
            raise BadImage("this is not a file")
        if self.sizes[index] == NO_FILE:  # its name may lead anywhere, so it is not looked for again
            archive = self._place(index).archive
            raise BadImage(f"it is not in the {archive}" if archive else "cannot be read: no such file or directory")

    def open_archives(self) -> None:
        """Open the archives, if files are in any. Reading opens them too; threads need them to be open before."""
        for place in self._places:
            if place.archive:
                self._descriptor(place)

    def _descriptor(self, place: Place) -> int:
        if place.file not in self._descriptors:
            self._descriptors[place.file] = os.open(place.file, os.O_RDONLY)
        return self._descriptors[place.file]

    def _read_from_archive(self, index: int) -> bytes:
        place = self._place(index)
        file, size, offset = self._descriptor(place), self.sizes[index], self._offsets[index]
        if place.archive == "tar":
            return os.pread(file, size, offset)
        # A deflated file is never more than 0.1 % larger than what it holds.
        compressed = min(self._compressed_sizes[index], size + (size >> 8) + 1024)
        data = os.pread(file, compressed, zip_data_offset(file, offset))
        if self._deflated[index]:
            try:
                data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, size + 1)  # no more than the zip says
            except zlib.error:
                data = b""
        if len(data) != size or zlib.crc32(data) != self._crcs[index]:
            raise BadImage("it is damaged within the zip")
        return data

    def name_bytes(self) -> bytes:
        """Return all names and their ends, for hashing."""
        return bytes(self._names) + self._name_ends.tobytes()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_descriptors": {}}  # a spawned process cannot use those of this process


def take(column: array[int], rows: np.ndarray) -> array[int]:
    """Return some elements of a column, in the order of `rows`. An empty column stays empty."""
    import numpy as np

    if not column:
        return column
    return array(column.typecode, np.asarray(column)[rows].tobytes())


def _windows(size: int, window: int) -> list[tuple[int, int]]:
    """Return the (start, end) of the windows that `read_windows` reads."""
    if size <= 3 * window:
        return [(0, size)]
    middle = (size - window) // 2
    return [(start, start + window) for start in (0, middle, size - window)]


def _read_windows(file: int, offset: int, size: int, window: int) -> bytes:
    return b"".join(os.pread(file, end - start, offset + start) for start, end in _windows(size, window))


def _read_all(descriptor: int, expected: int) -> bytes:
    """Read to the end: with one system call if the file still has the expected size."""
    data = os.read(descriptor, max(expected, 0) + 1)
    if len(data) == expected:
        return data
    chunks = [data]
    while chunk := os.read(descriptor, 1 << 20):
        chunks.append(chunk)
    return b"".join(chunks)


def list_folder(folder: Path) -> list[FileEntry]:
    """Return what a folder contains, except hidden names. Sizes are bytes, NO_FILE or NOT_REGULAR."""
    files = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name[0] == ".":
                continue
            try:
                status = entry.stat()
                size = status.st_size if stat.S_ISREG(status.st_mode) else NOT_REGULAR
            except OSError:
                size = NO_FILE  # a dangling link; `read` will report it
            files.append(FileEntry(entry.name, size))
    return files
