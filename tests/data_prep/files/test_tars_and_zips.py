"""The files in tars and zips, read at their positions, and damaged or unsupported archives."""

from __future__ import annotations

import io
import os
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from data_prep.files.archives import (
    FileEntry,
    list_nested_tars,
    list_tar,
    list_zip,
    open_zip_member,
    zip_data_offset,
)
from data_prep.files.file_list import FileList
from mnasnet_cli.errors import DataError
from mnasnet_cli.records.image_files.header import BadImage

FILES = {"b.JPEG": b"second" * 300, "a.JPEG": b"first", "empty.JPEG": b""}


def tar(files: dict[str, bytes], **options: object) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", **options) as archive:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, data in files.items():
            info = tarfile.TarInfo(f"folder/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def read(path: Path, entries: list[FileEntry], archive: str) -> dict[str, bytes]:
    """Read all files through a FileList."""
    table = FileList(path, archive)
    for entry in entries:
        table.append(entry)
    return {table.name(index): table.read(index) for index in range(len(table))}


@pytest.mark.parametrize("layout", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar(tmp_path: Path, layout: int) -> None:
    files = {**FILES, "n" * 150 + ".JPEG": b"a long name"} if layout != tarfile.USTAR_FORMAT else FILES
    path = tmp_path / "val.tar"
    path.write_bytes(tar(files, format=layout))
    assert read(path, list_tar(path), "tar") == files  # names are without folders


def test_nested_tars_are_read_from_the_outer_file(tmp_path: Path) -> None:
    path = tmp_path / "train.tar"
    inner = {"n2.tar": tar(FILES), "n1.tar": tar({"c.JPEG": b"third"}), "notes.txt": b"ignored", "n3.tar": tar({})}
    path.write_bytes(tar(inner))
    found = {name: read(path, entries, "tar") for name, entries in list_nested_tars(path)}
    assert found == {"n1": {"c.JPEG": b"third"}, "n2": FILES, "n3": {}}
    assert list(found) == ["n1", "n2", "n3"]


def test_damaged_tars(tmp_path: Path) -> None:
    path = tmp_path / "train.tar"
    data = tar(FILES)
    path.write_bytes(data[:1024])  # the folder, and the header of b.JPEG
    with pytest.raises(DataError, match=r"train\.tar (is cut off within b\.JPEG|is not a complete tar)"):
        list_tar(path)
    path.write_bytes(b"this is no tar" * 100)
    with pytest.raises(DataError, match=r"train\.tar is not a complete tar"):
        list_tar(path)
    outer = tar({"n1.tar": data})
    path.write_bytes(outer[: outer.index(b"second") + 100])
    with pytest.raises(DataError, match=r"train\.tar (is cut off within|is not a complete tar)"):
        list(list_nested_tars(path))


def test_a_size_that_no_file_has(tmp_path: Path) -> None:
    data = bytearray(tar(FILES))
    data[512 + 124 : 512 + 136] = b"\x80" + (2**60).to_bytes(11, "big")  # of b.JPEG, which follows the folder
    data[512 + 148 : 512 + 156] = b" " * 8
    data[512 + 148 : 512 + 156] = b"%06o\0 " % sum(data[512:1024])
    path = tmp_path / "train.tar"
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"train\.tar (can't be read|is cut off|is not a complete tar)"):
        list_tar(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("zip64", [False, True])
def test_zip(tmp_path: Path, method: int, zip64: bool) -> None:
    path = tmp_path / "train2017.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("folder/", "")
        for name, data in FILES.items():
            with archive.open(f"folder/{name}", "w", force_zip64=zip64) as member:
                member.write(data)
    entries = list_zip(path)
    assert [entry.deflated for entry in entries] == [method == zipfile.ZIP_DEFLATED] * len(FILES)
    assert read(path, entries, "zip") == {f"folder/{name}": data for name, data in FILES.items()}
    with open_zip_member(path, "folder/b.JPEG") as file:
        assert file.read(6) + file.read() == FILES["b.JPEG"]


def test_a_comment_and_bytes_before_a_zip_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "train2017.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.JPEG", FILES["a.JPEG"])
        archive.comment = b"a comment"
    path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())
    assert read(path, list_zip(path), "zip") == {"a.JPEG": FILES["a.JPEG"]}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_damage_within_a_zip(tmp_path: Path, method: int) -> None:
    path = tmp_path / "train2017.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("b.JPEG", FILES["b.JPEG"])
    [entry] = list_zip(path)
    data = bytearray(path.read_bytes())
    with path.open("rb") as file:
        start = zip_data_offset(file.fileno(), entry.offset)
    data[start + 5] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(BadImage, match="damaged within the zip"):
        read(path, [entry], "zip")
    data[entry.offset] ^= 0xFF  # the header's signature
    path.write_bytes(data)
    with pytest.raises(BadImage, match="the zip has no file at this position"):
        read(path, [entry], "zip")
    path.write_bytes(data[:-10])
    with pytest.raises(DataError, match=r"train2017\.zip is not a complete zip"):
        list_zip(path)


def test_encrypted_and_other_compression(tmp_path: Path) -> None:
    path = tmp_path / "train2017.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.JPEG", FILES["a.JPEG"])
    with pytest.raises(DataError, match=r"train2017\.zip: a\.JPEG .*method 14"):
        list_zip(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.JPEG", FILES["a.JPEG"])
    data = bytearray(path.read_bytes())
    flags = data.index(b"PK\1\2") + 8  # in the central directory
    struct.pack_into("<H", data, flags, 1)
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"train2017\.zip: a\.JPEG is encrypted"):
        list_zip(path)


def test_a_header_beyond_the_end_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"PK\3\4")
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    try:
        with pytest.raises(OSError, match="no file at this position"):
            zip_data_offset(descriptor, 0)
    finally:
        os.close(descriptor)


def test_a_zip_with_a_nameless_file(tmp_path: Path) -> None:
    path = tmp_path / "nameless.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("Q.jpg", b"content")
    path.write_bytes(path.read_bytes().replace(b"Q.jpg", b"\0.jpg"))  # zipfile ends a name at a zero byte
    with pytest.raises(DataError, match="a file in it has no name"):
        list_zip(path)
