"""Archives that lie: zips and tars with odd names, sizes, links and contents."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def _zip_of(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def _bomb(path: Path) -> None:
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("train/a/bomb.jpg", "w", force_zip64=True) as file,
    ):
        for _ in range(300):
            file.write(bytes(1_000_000))


def _lying_size(path: Path, picture: bytes) -> None:
    _zip_of(path, {"train/a/1.jpg": picture, "train/b/2.jpg": picture})
    data = bytearray(path.read_bytes())
    at = data.rfind(b"PK\x01\x02")
    data[at + 24 : at + 28] = (0x7FFFFFFF).to_bytes(4, "little")
    path.write_bytes(data)


def _cut_off(path: Path, picture: bytes) -> None:
    _zip_of(path, {"train/a/1.jpg": picture})
    path.write_bytes(path.read_bytes()[:-30])


def _coco_zip(path: Path, picture: bytes, content: dict[str, Any] | bytes) -> None:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    _zip_of(path, {"train2017/1.jpg": picture, "annotations/instances_train2017.json": data})


def _image(number: int, name: str) -> dict[str, Any]:
    return {"id": number, "file_name": name, "width": 96, "height": 72}


BOX = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 20, 20], "area": 400, "iscrowd": 0}
LONG_CATEGORY = {
    "images": [_image(1, "1.jpg")], "categories": [{"id": 1, "name": "\x1b[2J" + "a" * 100_000}], "annotations": [BOX],
}  # fmt: skip
ODD_FILE_NAMES = {
    "images": [_image(1, "1\0.jpg"), _image(2, "\ud800.jpg")], "categories": [{"id": 1, "name": "a"}],
    "annotations": [BOX],
}  # fmt: skip
NAMES = {
    "up and out": "../../../escaped/1.jpg",
    "absolute": "/tmp/escaped-campaign/1.jpg",
    "escape sequences": "train/\x1b[31ma/1.jpg",
    "a newline": "train/a\nb/1.jpg",
    "a very long name": "train/" + "a" * 3000 + "/1.jpg",
    "backslashes": "train\\a\\1.jpg",
    "no name": "train//.jpg",
    "a folder without an image": "train/a/CON",
}


def _named(name: str) -> Callable[[Path, bytes], None]:
    return lambda path, picture: _zip_of(path, {name: picture, "train/b/2.jpg": picture})


def _tar_of(members: dict[str, bytes | tarfile.TarInfo], form: int = tarfile.GNU_FORMAT) -> bytes:
    """Return a tar. A member is a content, or a header without one."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=form) as archive:
        for name, content in members.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return data.getvalue()


def _header(name: str, kind: bytes, link: str = "", **pax: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.pax_headers = kind, link, pax
    return info


def _class_tar(*odd: tuple[str, bytes | tarfile.TarInfo], form: int = tarfile.GNU_FORMAT) -> Callable[[bytes], bytes]:
    """Return ImageNet's tar of tars; the tar of the first class has odd members."""
    return lambda picture: _tar_of({
        "n00000001.tar": _tar_of({"n00000001_1.JPEG": picture, **dict(odd)}, form),
        "n00000002.tar": _tar_of({"n00000002_1.JPEG": picture, "n00000002_2.JPEG": picture}),
    })  # fmt: skip


def _with_size(field: bytes) -> Callable[[bytes], bytes]:
    """Return a tar whose first class has this size in its header, with a checksum that fits."""

    def make(picture: bytes) -> bytes:
        data = bytearray(_class_tar()(picture))
        data[124:136] = field
        data[148:156] = b" " * 8
        data[148:156] = b"%06o\0 " % sum(data[:512])
        return bytes(data)

    return make


def _train_tar(content: Callable[[bytes], bytes]) -> Callable[[Path, bytes], None]:
    def write(path: Path, picture: bytes) -> None:
        path.mkdir()
        (path / "ILSVRC2012_img_train.tar").write_bytes(content(picture))

    return write


TAR_CONTENTS: dict[str, Callable[[bytes], bytes]] = {
    "names that lead out": _class_tar(("../../escaped/1.JPEG", b"x"), ("/tmp/escaped-campaign/2.JPEG", b"x")),
    "links": _class_tar(
        ("a.JPEG", _header("a.JPEG", tarfile.SYMTYPE, "/etc/passwd")),
        ("b.JPEG", _header("b.JPEG", tarfile.LNKTYPE, "../../../etc/passwd")),
    ),
    "devices": _class_tar(
        ("a.JPEG", _header("a.JPEG", tarfile.CHRTYPE)), ("b.JPEG", _header("b.JPEG", tarfile.FIFOTYPE))
    ),
    "control characters": _class_tar(("\x1b[31mred\x07\n.JPEG", b"no picture")),
    "a long name": _class_tar(("x" * 1_000_000 + ".JPEG", b"no picture")),
    "a size of another type": _class_tar(
        ("a.JPEG", _header("a.JPEG", tarfile.REGTYPE, size="many")), form=tarfile.PAX_FORMAT
    ),
    "a sparse file of a terabyte": _class_tar(
        ("a.JPEG", _header("a.JPEG", tarfile.REGTYPE, **{
            "GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.size": str(10**12),
            "GNU.sparse.map": "0,1",
        })), form=tarfile.PAX_FORMAT,
    ),
    "a huge size": _with_size(b"\x80" + (2**60).to_bytes(11, "big")),
    "a negative size": _with_size(b"\xff" * 12),
    "no number as size": _with_size(b"many bytes\0\0"),
    "cut off": lambda picture: _class_tar()(picture)[:-12_000],
    "a class cut off": lambda picture: _tar_of({"n00000001.tar": _class_tar()(picture)[:1000]}),
    "a class that is none": lambda picture: _tar_of({"n00000001.tar": picture}),
    "not one": lambda picture: picture,
    "zeros": lambda picture: bytes(20_000),
    "empty": lambda picture: b"",
}  # fmt: skip
TARS = {f"tar: {key}": _train_tar(content) for key, content in TAR_CONTENTS.items()}

ARCHIVES: dict[str, Callable[[Path, bytes], None]] = {
    **{f"zip: {key}": _named(name) for key, name in NAMES.items()},
    "zip: a bomb": lambda path, picture: _bomb(path),
    "zip: a size that lies": _lying_size,
    "zip: cut off": _cut_off,
    "zip: empty": lambda path, picture: _zip_of(path, {}),
    "zip: a zip in a zip": lambda path, picture: _zip_of(path, {"train.zip": b"PK\x03\x04" + picture}),
    "zip: not one": lambda path, picture: path.write_bytes(picture) and None,
    "zip: deep annotations": lambda path, picture: _coco_zip(path, picture, b"[" * 200_000),
    "zip: a long category": lambda path, picture: _coco_zip(path, picture, LONG_CATEGORY),
    "zip: odd file names": lambda path, picture: _coco_zip(path, picture, ODD_FILE_NAMES),
    **TARS,
}
