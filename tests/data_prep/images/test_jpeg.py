"""Which images are copied, re-encoded or refused."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from data_prep.images.jpeg import BadImage, prepare_image

NOISE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
SMOOTH = np.broadcast_to(np.linspace(0, 255, 60, dtype=np.uint8)[None, :, None], (40, 60, 3)).copy()


def encode(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def decode(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "JPEG"
        return np.asarray(image)


RGB = Image.fromarray(NOISE)
JPEG = encode(RGB)


@pytest.mark.parametrize(
    ("data", "channels"),
    [
        (JPEG, 3),
        (encode(RGB, progressive=True), 3),
        (encode(RGB, restart_marker_blocks=1), 3),
        (encode(RGB, optimize=True, subsampling=0), 3),
        (encode(RGB.convert("L")), 1),
        (encode(RGB, comment=b"\xff\xd9 not an end of image"), 3),
        (JPEG + b"\0\0 trailing bytes", 3),
        (JPEG[:2] + b"\xff\xff" + JPEG[3:], 3),  # fill bytes before a marker
    ],
    ids=["baseline", "progressive", "restarts", "optimized", "gray", "comment", "trailing", "fill"],
)
def test_valid_jpegs_are_copied(data: bytes, channels: int) -> None:
    image = prepare_image(data)
    assert image == (data, 40, 60, channels, False)
    assert prepare_image(data, max_side=60, verify=True).data is data


def test_tensorflow_decodes_the_same_shape() -> None:
    import tensorflow as tf

    for data in (JPEG, encode(RGB, progressive=True), encode(RGB.convert("L")), encode(RGB.convert("CMYK"))):
        image = prepare_image(data)
        assert tf.io.decode_jpeg(image.data).shape == (image.height, image.width, image.channels)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "WEBP", "CMYK"])
def test_reencoded_to_rgb(kind: str) -> None:
    smooth = Image.fromarray(SMOOTH)
    image = prepare_image(encode(smooth.convert("CMYK")) if kind == "CMYK" else encode(smooth, kind))
    assert image[1:] == (40, 60, 3, True)
    assert np.abs(decode(image.data).astype(int) - SMOOTH).mean() < 2.5


def test_ycck_is_reencoded() -> None:
    data = bytearray(encode(Image.fromarray(SMOOTH).convert("CMYK")))
    adobe = data.index(b"Adobe")
    data[adobe + 11] = 2  # the transform flag: 2 says YCCK
    assert prepare_image(bytes(data))[1:] == (40, 60, 3, True)


def test_transparent_pixels_become_white() -> None:
    data = encode(Image.new("RGBA", (8, 8), (255, 0, 0, 0)), "PNG")
    assert decode(prepare_image(data).data).min() > 250


@pytest.mark.parametrize(("mode", "key", "channels"), [("RGB", (0, 0, 0), 3), ("L", 0, 1)])
def test_a_transparent_colour_becomes_white(mode: str, key: object, channels: int) -> None:
    image = prepare_image(encode(Image.new(mode, (8, 8)), "PNG", transparency=key))
    assert image.channels == channels
    assert decode(image.data).min() > 250


def test_sixteen_bit_gray_keeps_its_range() -> None:
    values = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)
    image = prepare_image(encode(Image.fromarray(values), "PNG"))
    assert image.channels == 1
    assert np.abs(decode(image.data).astype(int) - values // 256).max() < 6


def test_max_side_scales_only_larger_images() -> None:
    image = prepare_image(JPEG, max_side=30)
    assert image[1:] == (20, 30, 3, True)
    assert decode(image.data).shape == (20, 30, 3)
    assert prepare_image(encode(RGB.convert("L")), max_side=30).channels == 1
    thin = encode(Image.new("RGB", (400, 1)))
    assert prepare_image(thin, max_side=50)[1:3] == (1, 50)


def test_exif_orientation_is_ignored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    data = encode(RGB, exif=exif)
    assert prepare_image(data).data is data
    assert prepare_image(data, max_side=30)[1:3] == (20, 30)


def png_claiming(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


ENTROPY = JPEG.index(b"\xff\xda") + 14


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"hello\n", "text"),
        (b"<html>404</html>", "text"),
        (bytes(range(128, 256)), "not a JPEG"),
        (JPEG[:-2], "cut off"),
        (JPEG[: len(JPEG) // 2], "cut off"),
        (JPEG[: len(JPEG) // 2] + bytes(500), "cut off"),
        (JPEG[:3], "cut off"),
        (JPEG[:30], "cut off"),
        (JPEG[:ENTROPY], "cut off"),
        (JPEG[:ENTROPY] + b"\xff\xd9", "no image data"),
        (JPEG[:2] + b"\xff\xd9", "contains no image"),
        (JPEG[:20] + b"abcdef" + JPEG[20:], "no JPEG marker at byte"),
        (JPEG.replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc0\x00\x11\x0c"), "12 bits"),
        (JPEG.replace(b"\xff\xc0\x00\x11\x08\x00\x28", b"\xff\xc0\x00\x11\x08\x00\x00"), "60×0 px"),
        (encode(RGB, "PNG")[:-300], "decoding fails"),
        (png_claiming(100_000, 100_000), "decoding fails"),
    ],
)
def test_refused(data: bytes, reason: str) -> None:
    with pytest.raises(BadImage, match=reason):
        prepare_image(data)


def test_verify_finds_damage_within_the_data() -> None:
    broken = JPEG[:ENTROPY] + JPEG[ENTROPY + 1500 :] if len(JPEG) > ENTROPY + 2000 else JPEG
    assert prepare_image(broken).data is broken
    table = JPEG.index(b"\xff\xc4")
    worse = JPEG[: table + 5] + b"\xf0" * 16 + JPEG[table + 21 :]  # an invalid Huffman table
    assert prepare_image(worse).data is worse
    with pytest.raises(BadImage, match="decoding fails"):
        prepare_image(worse, verify=True)
