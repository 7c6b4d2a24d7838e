"""Long lists of files in little memory. The files are in a folder, a tar or a zip, which is read without unpacking.

The names are in one byte string and the numbers in arrays: about 50 bytes per file, and cheap to send to a worker.
"""

from __future__ import annotations

import os
import stat
import zlib
from array import array
from pathlib import Path
from typing import Any

from data_prep.files.archives import FileEntry, zip_data_offset
from data_prep.images.jpeg import BadImage
from mnasnet_cli.errors import os_error_reason

NO_FILE, NOT_REGULAR = -1, -2  # in place of the size: the file is missing, or is a folder or a device


class FileList:
    """The files of one split, numbered 0..n-1.

    base: their folder, tar or zip. archive: "tar", "zip", or "" for a folder. sizes: bytes, NO_FILE or NOT_REGULAR.
    """

    def __init__(self, base: Path, archive: str = "") -> None:
        self.base, self.archive = str(base), archive
        self.sizes = array("q")
        self._offsets = array("Q")  # of archives only; see FileEntry
        self._compressed_sizes, self._deflated, self._crcs = array("q"), array("b"), array("I")  # of zips only
        self._names = bytearray()
        self._name_ends = array("Q")
        self._file = -1  # descriptor of the open archive

    def __len__(self) -> int:
        return len(self.sizes)

    def append(self, entry: FileEntry) -> None:
        """Append one file."""
        self._names += os.fsencode(entry.name)
        self._name_ends.append(len(self._names))
        self.sizes.append(entry.size)
        if self.archive:
            self._offsets.append(entry.offset)
        if self.archive == "zip":
            self._compressed_sizes.append(entry.compressed_size)
            self._deflated.append(entry.deflated)
            self._crcs.append(entry.crc32)

    def name(self, index: int) -> str:
        """Return a file's name, as in its FileEntry."""
        start = self._name_ends[index - 1] if index else 0
        return os.fsdecode(bytes(self._names[start : self._name_ends[index]]))

    def path(self, index: int) -> str:
        """Return a file's path, for opening it and for messages. In an archive it is for messages only."""
        return os.path.join(self.base, self.name(index))

    def read(self, index: int) -> bytes:
        """Return a file's bytes. Raises BadImage with the reason if it cannot be read."""
        size = self.sizes[index]
        if size == NOT_REGULAR:
            raise BadImage("this is not a file")
        if size == NO_FILE and self.archive:
            raise BadImage(f"it is not in the {self.archive}")
        try:
            if self.archive:
                return self._read_from_archive(index)
            descriptor = os.open(self.path(index), os.O_RDONLY)
            try:
                return _read_all(descriptor, size)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise BadImage(f"cannot be read: {os_error_reason(error)}") from error

    def _read_from_archive(self, index: int) -> bytes:
        if self._file < 0:
            self._file = os.open(self.base, os.O_RDONLY)
        size, offset = self.sizes[index], self._offsets[index]
        if self.archive == "tar":
            return os.pread(self._file, size, offset)
        data = os.pread(self._file, self._compressed_sizes[index], zip_data_offset(self._file, offset))
        if self._deflated[index]:
            try:
                data = zlib.decompress(data, -zlib.MAX_WBITS)
            except zlib.error:
                data = b""
        if len(data) != size or zlib.crc32(data) != self._crcs[index]:
            raise BadImage("it is damaged within the zip")
        return data

    def name_bytes(self) -> bytes:
        """Return all names and their ends, for hashing."""
        return bytes(self._names) + self._name_ends.tobytes()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_file": -1}  # a spawned process cannot use this process's descriptor


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
