"""Lists the files in tars and zips with their places, so that they are read without unpacking."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from mnasnet_cli.errors import DataError


def tar_classes(path: Path) -> Iterator[tuple[str, list[tuple[str, int, int]]]]:
    """Yield (synset, [(name, bytes, offset in the outer file)]) of a tar that holds one tar a class, sorted."""
    for name, size, offset in sorted(tar_images(path)):
        if name.endswith(".tar"):
            yield name.removesuffix(".tar"), tar_images(path, offset, size)


def tar_images(path: Path, start: int = 0, size: int | None = None) -> list[tuple[str, int, int]]:
    """Return (name, bytes, offset in the outer file) of the regular files in a tar, or in a tar within it."""
    import tarfile  # only those who have tars pay for it

    files = []
    try:
        with open(path, "rb") as outer:
            outer.seek(start)
            with tarfile.open(fileobj=outer, mode="r:") as archive:
                while (member := archive.next()) is not None:
                    if start and size is not None and member.offset >= start + size:
                        break
                    if member.isreg():
                        files.append((os.path.basename(member.name), member.size, member.offset_data))
                    archive.members.clear()  # type: ignore[attr-defined]  # tarfile keeps every header otherwise
    except tarfile.TarError as error:
        raise DataError(f"{path} is not a whole tar: {error}") from error
    end = start + size if size is not None else os.path.getsize(path)
    if files and files[-1][1] + files[-1][2] > end:
        raise DataError(f"{path} is cut off within {files[-1][0]}")
    return files


_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature … length of the name, length of the extra field; 30 bytes
_STORED, _DEFLATED, _ENCRYPTED = 0, 8, 1


class Member(NamedTuple):
    """A file in a zip. packed: bytes it takes there, negative where they are deflated. offset: of its header."""

    name: str
    size: int
    offset: int
    packed: int
    checksum: int


def zip_members(path: Path) -> list[Member]:
    """Return the files in a zip. Raises DataError where it isn't whole, or packed in a way that isn't read."""
    import zipfile  # only those who have zips pay for it

    members = []
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.is_dir():
                    continue
                if info.flag_bits & _ENCRYPTED or info.compress_type not in (_STORED, _DEFLATED):
                    raise DataError(f"{path}: {info.filename} is encrypted or packed by another way than deflate")
                packed = info.compress_size if info.compress_type == _STORED else -info.compress_size
                members.append(Member(info.filename, info.file_size, info.header_offset, packed, info.CRC))
    except zipfile.BadZipFile as error:
        raise DataError(f"{path} is not a whole zip: {str(error).lower()}") from error
    return members


def data_offset(file: int, header_offset: int) -> int:
    """Return where a member's data starts in the zip that descriptor `file` has open. Raises OSError."""
    header = os.pread(file, _LOCAL_HEADER.size, header_offset)
    if len(header) < _LOCAL_HEADER.size or not header.startswith(b"PK\3\4"):
        raise OSError(0, "no file starts at its place in the zip")
    _, name, extra = _LOCAL_HEADER.unpack(header)
    return header_offset + _LOCAL_HEADER.size + int(name) + int(extra)


def open_member(path: Path, name: str) -> IO[bytes]:
    """Open a file in a zip for reading from start to end; closing it closes the zip."""
    import zipfile

    with zipfile.ZipFile(path) as archive:  # the open member keeps the file that it reads from
        return archive.open(name)
