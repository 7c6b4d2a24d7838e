"""The headers of encoded images in records."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from mnasnet_cli.records.image_header import StoredHeader, read_stored_header, stored_orientation


def encoded(mode: str, kind: str, orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    Image.new(mode, (40, 30)).save(out, kind, **({"exif": exif} if orientation > 1 else {}))
    return out.getvalue()


@pytest.mark.parametrize(
    ("mode", "kind", "channels", "decodable"),
    [
        ("RGB", "JPEG", 3, True),
        ("L", "JPEG", 1, True),
        ("CMYK", "JPEG", 4, False),
        ("RGB", "PNG", 3, True),
        ("P", "PNG", 3, True),
        ("LA", "PNG", 2, True),
        ("RGBA", "PNG", 4, True),
        ("RGB", "BMP", 3, True),
        ("P", "GIF", 3, True),
        ("RGB", "WEBP", 3, False),
    ],
)
def test_formats(mode: str, kind: str, channels: int, decodable: bool) -> None:
    assert read_stored_header(encoded(mode, kind)) == StoredHeader(40, 30, channels, 1, decodable)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", [2, 6, 8])
def test_orientation(kind: str, orientation: int) -> None:
    data = encoded("RGB", kind, orientation)
    assert stored_orientation(data) == orientation
    header = read_stored_header(data)
    assert header is not None
    assert (header.width, header.height) == (40, 30)  # of the stored frame


@pytest.mark.parametrize(
    "data", [b"", b"text", encoded("RGB", "JPEG")[:200], encoded("RGB", "PNG")[:20], encoded("RGB", "WEBP")[:14]]
)
def test_damage(data: bytes) -> None:
    assert read_stored_header(data) is None
    assert stored_orientation(data) == 1
