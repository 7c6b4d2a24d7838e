"""Images of all Pillow modes become 8-bit RGB or grayscale images."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from colour_profiles import swapped_profile
from PIL import Image

from mnasnet_cli.records.orientation import ORIENTATION_TAG
from mnasnet_cli.records.plain_image import read_picture, to_plain


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


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


def test_a_transparent_gray_of_sixteen_bits_becomes_white() -> None:
    image = Image.fromarray(np.array([[0, 65535, 40000]], np.uint16))
    image.info["transparency"] = 40000
    assert np.asarray(to_plain(image)).tolist() == [[0, 255, 255]]


@pytest.mark.parametrize("byte_order", "<>")
def test_sixteen_bits_keep_their_range(byte_order: str) -> None:
    values = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)
    data = encode(Image.fromarray(values.astype(f"{byte_order}u2")), "TIFF")
    assert np.asarray(read_picture(data).image).tolist() == (values // 256).tolist()


@pytest.mark.parametrize(
    ("bits", "shift"), [(8, 0), (9, 2), (10, 2), (11, 4), (12, 4), (13, 6), (14, 6), (15, 8), (16, 8)]
)
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_fewer_bits_in_sixteen_keep_their_range(bits: int, shift: int, kind: str) -> None:
    values = np.linspace(0, 2**bits - 1, 64, dtype=np.uint16).reshape(8, 8)
    image = read_picture(encode(Image.fromarray(values), kind)).image
    assert image.mode == "L"
    assert np.asarray(image).tolist() == (values >> shift).tolist()


@pytest.mark.parametrize(("told", "shift"), [(12, 4), (10, 2), (9, 2), (8, 2), (16, 2)])
def test_a_png_tells_its_bits(told: int, shift: int) -> None:
    """A value that is too large for them shows that they are wrong."""
    values = np.linspace(0, 1000, 64, dtype=np.uint16).reshape(8, 8)
    data = encode(Image.fromarray(values), "PNG")
    body = b"sBIT" + bytes((told,))
    data = data[:33] + struct.pack(">I", 1) + body + struct.pack(">I", zlib.crc32(body)) + data[33:]
    assert np.asarray(read_picture(data).image).tolist() == (values >> shift).tolist()


def test_more_than_sixteen_bits_keep_their_range() -> None:
    values = np.array([[-5, 0, 500_000, 1_000_000]], np.int32)
    assert np.asarray(to_plain(Image.fromarray(values))).tolist() == [[0, 0, 127, 255]]


def test_colours_of_sixteen_bits_keep_the_upper_eight() -> None:
    rows = np.array([[0, 300, 40000, 65535, 256, 255]], ">u2").tobytes()
    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" + rows)), (b"IEND", b""))
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
    assert np.asarray(read_picture(data).image).tolist() == [[[0, 1, 156], [255, 1, 0]]]


@pytest.mark.parametrize("white", [1, 255, 65535, 1e6])
def test_floats_keep_their_range(white: float) -> None:
    values = np.linspace(0, white, 64, dtype=np.float32).reshape(8, 8)
    values[0, 0] = -white
    image = to_plain(Image.fromarray(values))
    assert image.mode == "L"
    assert np.abs(np.asarray(image).ravel() - np.linspace(0, 255, 64)).max() <= 1


def test_packed_twelve_bits_keep_their_range() -> None:
    # Pillow writes no such TIFF: one row of two pixels, 0x7FF and 0x100.
    tags = [(256, 2), (257, 1), (258, 12), (259, 1), (262, 1), (273, 122), (277, 1), (278, 1), (279, 3)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    data = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + b"\x7f\xf1\x00"
    assert np.asarray(read_picture(data).image).tolist() == [[127, 16]]


@pytest.mark.parametrize("value", range(1, 9))
def test_the_picture_says_how_it_was_stored(value: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = value
    data = encode(Image.new("RGB", (80, 40)), "JPEG", exif=exif)
    picture = read_picture(data)
    assert picture[1:] == (value, 40, 80, False)
    assert picture.image.size == ((80, 40) if value < 5 else (40, 80))
    assert read_picture(data, exif="ignore").image.size == (80, 40)
    scaled = read_picture(data, max_side=20)
    assert (scaled.height, scaled.width, scaled.image.size) == (40, 80, (20, 10) if value < 5 else (10, 20))


def test_colours_are_converted_before_transparent_pixels_become_white() -> None:
    image = Image.new("RGBA", (1, 1), (200, 20, 90, 128))
    image.info["icc_profile"] = swapped_profile()
    plain = to_plain(image)
    assert plain.getpixel((0, 0)) == pytest.approx([(20 + 255) / 2, (200 + 255) / 2, (90 + 255) / 2], abs=2)
