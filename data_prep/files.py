"""Long lists of files in little memory, in a folder or within an archive that is read without unpacking.

Names lie in one byte string, numbers in arrays: about 50 bytes a file, and cheap to hand to a worker.
"""

from __future__ import annotations

import os
import stat
import zlib
from array import array
from pathlib import Path
from typing import Any

from data_prep.archives import data_offset
from data_prep.jpeg import BadImage

NO_FILE, NOT_REGULAR = -1, -2  # sizes that stand for a missing file, and for a folder or device named like an image


class FileList:
    """The files of one split, numbered 0..n-1.

    base: their folder, tar or zip. archive: "tar", "zip", or "" for a folder.
    sizes: bytes, or NO_FILE, NOT_REGULAR. offsets: where a tar's file, or its header in a zip, starts.
    """

    def __init__(self, base: Path, archive: str = "") -> None:
        self.base, self.archive = str(base), archive
        self.sizes = array("q")
        self.offsets = array("Q")
        self.packed = array("q")  # zip only: bytes it takes there, negative where they are deflated
        self.checksums = array("I")  # zip only: CRC-32
        self._names = bytearray()
        self._ends = array("Q")
        self._file = -1

    def __len__(self) -> int:
        return len(self.sizes)

    def append(self, name: str, size: int, offset: int = 0, packed: int = 0, checksum: int = 0) -> None:
        """Append one file."""
        self._names += os.fsencode(name)
        self._ends.append(len(self._names))
        self.sizes.append(size)
        if self.archive:
            self.offsets.append(offset)
        if self.archive == "zip":
            self.packed.append(packed)
            self.checksums.append(checksum)

    def name(self, index: int) -> str:
        """Return the file's name, as it was given."""
        start = self._ends[index - 1] if index else 0
        return os.fsdecode(bytes(self._names[start : self._ends[index]]))

    def path(self, index: int) -> str:
        """Return the file's path, or its place in the archive, for opening and for messages."""
        return os.path.join(self.base, self.name(index))

    def read(self, index: int) -> bytes:
        """Return the file's bytes. Raises BadImage with the reason why that fails."""
        size = self.sizes[index]
        if size == NOT_REGULAR:
            raise BadImage("this is no file")
        if size == NO_FILE and self.archive:
            raise BadImage("it isn't in the archive")
        try:
            if self.archive:
                return self._read_archive(index)
            handle = os.open(self.path(index), os.O_RDONLY)
            try:
                return _read_all(handle, size)
            finally:
                os.close(handle)
        except OSError as error:
            raise BadImage(f"cannot be read: {(error.strerror or str(error)).lower()}") from error

    def _read_archive(self, index: int) -> bytes:
        if self._file < 0:
            self._file = os.open(self.base, os.O_RDONLY)
        if self.archive == "tar":
            return os.pread(self._file, self.sizes[index], self.offsets[index])
        packed = self.packed[index]
        data = os.pread(self._file, abs(packed), data_offset(self._file, self.offsets[index]))
        try:
            data = zlib.decompress(data, -zlib.MAX_WBITS) if packed < 0 else data
        except zlib.error:
            data = b""
        if len(data) != self.sizes[index] or zlib.crc32(data) != self.checksums[index]:
            raise BadImage("it is damaged within the zip")
        return data

    def name_bytes(self) -> bytes:
        """Return all names with their ends, for hashing."""
        return bytes(self._names) + self._ends.tobytes()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_file": -1}  # a descriptor is of no use in a spawned process


def _read_all(handle: int, expected: int) -> bytes:
    """Read to the end; one call where the file is as long as it was when it was found."""
    data = os.read(handle, max(expected, 0) + 1)
    if len(data) == expected:
        return data
    parts = [data]
    while part := os.read(handle, 1 << 20):
        parts.append(part)
    return b"".join(parts)


def list_folder(folder: Path) -> list[tuple[str, int]]:
    """Return (name, bytes or NO_FILE or NOT_REGULAR) of all that lies in a folder and isn't hidden."""
    files = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name[0] == ".":
                continue
            try:
                status = entry.stat()
                size = status.st_size if stat.S_ISREG(status.st_mode) else NOT_REGULAR
            except OSError:
                size = NO_FILE  # a dangling link; reading it will say so
            files.append((entry.name, size))
    return files
