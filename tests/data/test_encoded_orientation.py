"""The EXIF orientation, as a SavedModel reads it."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from image_files import encode, noise, with_orientation
from PIL import Image, ImageOps

from mnasnet_cli.data.image_blocks import jpeg_segment
from mnasnet_cli.data.orientation import exif_orientation, stored_window, turn_upright, upright_shape

PIXELS = np.asarray(noise(9, 6))
JPEG, PNG = encode(noise(), "JPEG"), encode(noise(), "PNG")
START_OF_SCAN = JPEG.index(b"\xff\xda")
AFTER_IHDR, BEFORE_IEND = 33, len(PNG) - 12


@pytest.fixture(scope="module")
def read() -> tf.types.experimental.PolymorphicFunction:
    return tf.function(exif_orientation, input_signature=[tf.TensorSpec([], tf.string)], autograph=False)


def exif(order: str, orientation: int, *, kind: int = 3, count: int = 1, entries: int = 2) -> bytes:
    """EXIF data with another tag before the orientation. `kind` is the type, `entries` the number that it says."""
    mark = "<" if order == "II" else ">"
    value = struct.pack(f"{mark}I", orientation) if kind == 4 else struct.pack(f"{mark}HH", orientation, 0)
    return (
        order.encode()
        + struct.pack(f"{mark}HIH", 42, 8, entries)
        + struct.pack(f"{mark}HHI", 0x010F, 2, 4) + b"ABC\0"
        + struct.pack(f"{mark}HHI", 0x0112, kind, count) + value
    )  # fmt: skip


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def jpeg(data: bytes, before: bytes = b"", header: bytes = b"Exif\0\0") -> bytes:
    """A JPEG with an APP1 segment, and other segments before it."""
    return JPEG[:2] + before + segment(0xE1, header + data) + JPEG[2:]


def png(data: bytes, place: int = AFTER_IHDR) -> bytes:
    return PNG[:place] + chunk(b"eXIf", data) + PNG[place:]


@pytest.mark.parametrize("order", ["II", "MM"])
@pytest.mark.parametrize("value", range(1, 9))
def test_both_byte_orders(read, order: str, value: int) -> None:
    data = exif(order, value)
    assert [read(file).numpy() for file in (jpeg(data), png(data), png(b"Exif\0\0" + data))] == [value] * 3


@pytest.mark.parametrize(
    "file",
    [
        encode(noise(), "JPEG", exif=with_orientation(6)),
        encode(noise(), "JPEG", exif=with_orientation(6), icc_profile=bytes(150_000), comment=b"comment"),
        encode(noise(), "JPEG", exif=with_orientation(6), progressive=True),
        encode(noise(), "PNG", exif=with_orientation(6)),
        png(exif("MM", 6), BEFORE_IEND),
        jpeg(exif("II", 6), before=segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>")),
        jpeg(exif("II", 6), before=segment(0xE2, b"ICC_PROFILE\0\1\1" + b"\xff\xd8\xff\xda" * 99)),
        jpeg(exif("II", 6), before=segment(0xE0, b"") + b"\xff\xff"),
        jpeg(exif("II", 6), before=segment(0xFE, b"a comment") + b"junk"),
    ],
)
def test_the_data_is_found_wherever_it_lies(read, file: bytes) -> None:
    assert read(file) == 6


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff" + bytes(1000),
        encode(noise(), "BMP"),
        JPEG,
        PNG,
        jpeg(exif("II", 0)),
        jpeg(exif("II", 9)),
        jpeg(exif("II", 6, kind=4)),
        jpeg(exif("II", 6, count=2)),
        jpeg(exif("II", 6, entries=1)),
        jpeg(exif("XX", 6)),
        jpeg(b""),
        jpeg(b"II*\0"),
        jpeg(b"II*\0\xff\xff\xff\xff"),
        jpeg(b"MM\0*\x7f\xff\xff\xff"),
        png(b"MM"),
        *(jpeg(exif("MM", 6)[:length]) for length in (8, 9, 10, 22, 33)),
        JPEG[:START_OF_SCAN] + b"\xff\xe1\xff\xff",
        JPEG[: START_OF_SCAN + 20] + segment(0xE1, b"Exif\0\0" + exif("II", 6)),
        PNG[:AFTER_IHDR] + b"\xff\xff\xff\xffeXIf",
    ],
)
def test_a_missing_or_damaged_orientation_is_upright(read, file: bytes) -> None:
    assert read(file) == 1


def test_damage_anywhere_gives_an_orientation_and_never_an_error(read) -> None:
    random = np.random.default_rng(0)
    for number in range(200):
        file = bytearray((jpeg(exif("II", 6)), png(exif("MM", 8)))[number % 2])
        for place in random.integers(0, 120, 3):
            file[place] = random.integers(0, 256)
        assert 1 <= read(bytes(file[: random.integers(1, 200)])) <= 8


def test_a_number_of_entries_that_is_too_large_does_not_hide_the_orientation(read) -> None:
    assert read(jpeg(exif("II", 6, entries=9000))) == 6


def test_a_segment_without_its_end_gives_what_is_there() -> None:
    assert jpeg_segment(tf.constant(b"\xff\xd8\xff\xe1\x00\x20Exifabc"), 0xFFE1, b"Exif") == b"abc"


@pytest.mark.parametrize("value", range(1, 9))
def test_pixels_and_windows_turn_as_in_pillow(value: int) -> None:
    orientation = tf.constant(value)
    stored = Image.fromarray(PIXELS)
    stored.info["exif"] = with_orientation(value).tobytes()
    upright = np.asarray(ImageOps.exif_transpose(stored))
    turned = turn_upright(tf.constant(PIXELS), orientation)
    assert (turned.numpy() == upright).all()
    assert upright_shape(tf.constant(PIXELS.shape), orientation).numpy().tolist() == list(upright.shape[:2])
    y, x, height, width = stored_window(tf.constant([1, 2, 3, 4]), tf.constant(PIXELS.shape), orientation).numpy()
    part = turn_upright(tf.constant(PIXELS[y : y + height, x : x + width]), orientation)
    assert (part.numpy() == upright[1:4, 2:6]).all()
