"""Lists the files in tars and zips with their positions, so that they can be read without unpacking."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from mnasnet_cli.errors import DataError, os_error_reason

_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, …, length of the name, length of the extra field
_LOCAL_SIGNATURE = b"PK\3\4"
_STORED, _DEFLATED = 0, 8  # compression methods
_ENCRYPTED = 1  # a flag bit


class FileEntry(NamedTuple):
    """A file in a folder, a tar or a zip.

    name: relative to the folder or archive. size: bytes.
    offset: position of a tar member's data, or of a zip member's header. The other fields are for zips only.
    """

    name: str
    size: int
    offset: int = 0
    compressed_size: int = 0
    deflated: bool = False
    crc32: int = 0


def list_nested_tars(path: Path) -> Iterator[tuple[str, list[FileEntry]]]:
    """Yield (name without ".tar", files) of each tar within a tar, sorted by name. Offsets are in the outer tar."""
    for inner in sorted(list_tar(path)):
        if inner.name.endswith(".tar"):
            yield inner.name.removesuffix(".tar"), list_tar(path, inner.offset, inner.size)


def list_tar(path: Path, start: int = 0, size: int | None = None) -> list[FileEntry]:
    """Return the regular files of a tar, or of the tar within it that has `size` bytes from `start`. Raises DataError.

    Names are without folders.
    """
    import tarfile  # only where tars are read

    files = []
    try:
        with open(path, "rb") as outer:
            outer.seek(start)
            with tarfile.open(fileobj=outer, mode="r:") as archive:
                while (member := archive.next()) is not None:
                    if start and size is not None and member.offset >= start + size:
                        break
                    if member.isreg():
                        files.append(FileEntry(os.path.basename(member.name), member.size, member.offset_data))
                    archive.members.clear()  # type: ignore[attr-defined]  # tarfile keeps all headers in memory
    # ValueError, OverflowError: numbers in a damaged header that no file has.
    except (tarfile.TarError, ValueError, OverflowError, EOFError) as error:
        raise DataError(f"{path} is not a complete tar: {error}") from error
    except OSError as error:  # for example a position that no file has, from a size in a header
        raise DataError(f"{path} can't be read: {os_error_reason(error)}; make the tar again") from error
    end = start + size if size is not None else os.path.getsize(path)
    if files and files[-1].offset + files[-1].size > end:
        raise DataError(f"{path} is cut off within {files[-1].name}")
    return files


def list_zip(path: Path) -> list[FileEntry]:
    """Return the files of a zip. Raises DataError if it is damaged, encrypted or not compressed with deflate."""
    import zipfile  # only where zips are read

    files = []
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if not info.filename:
                    raise DataError(f"{path} is not a complete zip: a file in it has no name")
                if info.is_dir():
                    continue
                if info.header_offset < 0:
                    raise DataError(f"{path} is not a complete zip: it is cut off at its start")
                if info.flag_bits & _ENCRYPTED:
                    raise DataError(
                        f"{path}: {info.filename} is encrypted; unpack the zip, or pack it without a password"
                    )
                if info.compress_type not in (_STORED, _DEFLATED):
                    raise DataError(
                        f"{path}: {info.filename} is compressed with method {info.compress_type}, but only deflate (8)"
                        " and stored (0) are supported; unpack the zip"
                    )
                deflated = info.compress_type == _DEFLATED
                files.append(
                    FileEntry(info.filename, info.file_size, info.header_offset, info.compress_size, deflated, info.CRC)
                )
    # Besides BadZipFile, what zipfile raises for a damaged directory.
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, EOFError) as error:
        raise DataError(f"{path} is not a complete zip: {str(error).lower()}") from error
    return files


def zip_data_offset(file: int, header_offset: int) -> int:
    """Return where the data of a zip member starts. `file` is an open file descriptor. Raises OSError."""
    header = os.pread(file, _LOCAL_HEADER.size, header_offset)
    if len(header) < _LOCAL_HEADER.size or not header.startswith(_LOCAL_SIGNATURE):
        raise OSError(0, "the zip has no file at this position")
    _, name_length, extra_length = _LOCAL_HEADER.unpack(header)
    return header_offset + _LOCAL_HEADER.size + int(name_length) + int(extra_length)


def open_zip_member(path: Path, name: str) -> IO[bytes]:
    """Open a file in a zip for sequential reading. Closing it also closes the zip."""
    import zipfile

    with zipfile.ZipFile(path) as archive:  # the open member keeps the zip's file open
        return archive.open(name)
