"""Images of all Pillow modes become 8-bit RGB or grayscale images."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from mnasnet_cli.records.plain_image import to_plain


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("1", "L"), ("L", "L"), ("LA", "L"), ("P", "RGB"), ("PA", "RGB"), ("RGB", "RGB"), ("RGBA", "RGB"),
     ("CMYK", "RGB"), ("YCbCr", "RGB"), ("I", "L"), ("I;16", "L"), ("F", "L")],
)  # fmt: skip
def test_modes(mode: str, expected: str) -> None:
    plain = to_plain(Image.new(mode, (4, 2)))
    assert (plain.mode, plain.size) == (expected, (4, 2))


def test_rgb_and_grayscale_images_are_returned_unchanged() -> None:
    for mode in ("L", "RGB"):
        image = Image.new(mode, (4, 2))
        assert to_plain(image) is image


@pytest.mark.parametrize(("mode", "colour"), [("LA", (10, 0)), ("RGBA", (255, 0, 0, 0))])
def test_transparent_pixels_become_white(mode: str, colour: tuple[int, ...]) -> None:
    plain = np.asarray(to_plain(Image.new(mode, (2, 2), colour)))
    assert plain.min() == 255
    opaque = np.asarray(to_plain(Image.new(mode, (2, 2), (*colour[:-1], 255))))
    assert (opaque == colour[:-1]).all()


def test_half_transparent_pixels_are_blended_with_white() -> None:
    assert to_plain(Image.new("RGBA", (1, 1), (0, 0, 0, 128))).getpixel((0, 0)) == (127, 127, 127)


def test_a_transparent_palette_entry_becomes_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1])
    image.info["transparency"] = 0
    assert list(to_plain(image).getdata()) == [(255, 255, 255), (0, 0, 255)]


def test_sixteen_bits_keep_their_range() -> None:
    values = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)
    assert np.asarray(to_plain(Image.fromarray(values))).tolist() == (values // 256).tolist()


@pytest.mark.parametrize("white", [1, 255, 65535])
def test_floats_keep_their_range(white: int) -> None:
    image = to_plain(Image.fromarray(np.linspace(0, white, 64, dtype=np.float32).reshape(8, 8)))
    assert image.mode == "L"
    assert np.abs(np.asarray(image).ravel() - np.linspace(0, 255, 64)).max() <= 1


def test_packed_twelve_bits_keep_their_range() -> None:
    # Pillow writes no such TIFF: one row of two pixels, 0xFFF and 0x800.
    tags = [(256, 2), (257, 1), (258, 12), (259, 1), (262, 1), (273, 122), (277, 1), (278, 1), (279, 3)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    data = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + b"\xff\xf8\x00"
    with Image.open(io.BytesIO(data)) as image:
        assert np.asarray(to_plain(image)).tolist() == [[255, 128]]
