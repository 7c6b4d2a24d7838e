"""Decoding in TensorFlow gives the pixels that Pillow gives."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from image_files import encode, noise
from PIL import Image

from mnasnet_cli.data.decoding import decode_accurate, decode_fast, decode_whole, image_shape


def smooth(width: int = 61, height: int = 47) -> Image.Image:
    return noise(7, 5).resize((width, height), Image.Resampling.BICUBIC)


def decoded(data: bytes) -> np.ndarray:
    """[H, W, 3] by Pillow, on white."""
    with Image.open(io.BytesIO(data)) as image:
        rgba = image.convert("RGBA")
    return np.asarray(Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB"))


def deep_gray(values: np.ndarray, *, significant: int | None = None, transparent: int | None = None) -> bytes:
    """A PNG of 16-bit gray values [H, W]."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    height, width = values.shape
    rows = b"".join(b"\0" + row.tobytes() for row in values.astype(">u2"))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0))
        + (chunk(b"sBIT", bytes([significant])) if significant is not None else b"")
        + (chunk(b"tRNS", struct.pack(">H", transparent)) if transparent is not None else b"")
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


CMYK = encode(smooth().convert("CMYK"), "JPEG", quality=95)
ADOBE = CMYK.index(b"\xff\xee\0\x0eAdobe")
PALETTE = smooth().quantize(4)
FEW_COLOURS = PALETTE.convert("RGB")
WITH_ALPHA = smooth().convert("RGBA")
WITH_ALPHA.putalpha(smooth().getchannel(1))

FILES = {
    "jpeg": encode(smooth(), "JPEG", quality=90),
    "jpeg with full colours": encode(smooth(), "JPEG", quality=90, subsampling=0),
    "progressive jpeg": encode(smooth(), "JPEG", progressive=True),
    "gray jpeg": encode(smooth().convert("L"), "JPEG"),
    "chessboard": encode(Image.fromarray((np.indices((8, 8)).sum(0) % 2 * 255).astype(np.uint8)), "JPEG", quality=95),
    "png": encode(smooth(), "PNG"),
    "gray png": encode(smooth().convert("L"), "PNG"),
    "gray png with alpha": encode(WITH_ALPHA.convert("LA"), "PNG"),
    "gray png with a transparent colour": encode(smooth().convert("L"), "PNG", transparency=100),
    "png with alpha": encode(WITH_ALPHA, "PNG"),
    "png with a transparent colour": encode(FEW_COLOURS, "PNG", transparency=FEW_COLOURS.getpixel((0, 0))),
    "black and white png": encode(smooth().convert("1"), "PNG"),
    "black and transparent png": encode(smooth().convert("1"), "PNG", transparency=1),
    "palette": encode(PALETTE, "PNG", bits=2),
    "palette with a transparent colour": encode(PALETTE, "PNG", bits=2, transparency=2),
    "palette with opacities": encode(PALETTE, "PNG", bits=2, transparency=bytes([0, 90, 200])),
    "bmp": encode(smooth(), "BMP"),
    "gif": encode(PALETTE, "GIF"),
    "webp": encode(smooth(), "WEBP", lossless=True),
    "webp with alpha": encode(WITH_ALPHA, "WEBP", lossless=True),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_pixels_equal_those_of_pillow(name: str) -> None:
    image = decode_whole(tf.constant(FILES[name])).numpy()
    assert image.dtype == np.uint8
    assert (image == decoded(FILES[name])).all()
    assert image_shape(tf.constant(FILES[name])).numpy()[:2].tolist() == list(image.shape[:2])


@pytest.mark.parametrize("data", [CMYK, CMYK[:ADOBE] + CMYK[ADOBE + 16 :]], ids=["adobe", "plain"])
def test_cmyk_equals_pillow_up_to_rounding(data: bytes) -> None:
    difference = decode_whole(tf.constant(data)).numpy().astype(int) - decoded(data)
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0", "4:1:1"])
def test_a_window_of_a_jpeg_equals_that_of_the_whole(subsampling: str) -> None:
    data = encode(noise(90, 70), "JPEG", quality=95, subsampling=subsampling)
    whole = decoded(data)
    for y, x, height, width in [(0, 0, 70, 90), (16, 16, 32, 32), (7, 9, 41, 33), (69, 89, 1, 1), (3, 0, 20, 50)]:
        found = decode_accurate(tf.constant(data), tf.constant([y, x, height, width])).numpy()
        assert (found == whole[y : y + height, x : x + width]).all()


@pytest.mark.parametrize("bits", [12, 16])
def test_gray_of_more_than_8_bits_is_shifted(bits: int) -> None:
    values = np.linspace(0, 2**bits - 1, 64).astype(np.uint16).reshape(8, 8)
    image = decode_whole(tf.constant(deep_gray(values))).numpy()
    assert (image == (values >> (bits - 8))[..., None]).all()


@pytest.mark.parametrize(
    ("largest", "significant", "bits"),
    [
        (255, None, 8),
        (256, None, 10),
        (1023, None, 10),
        (4095, None, 12),
        (4096, None, 14),
        (16384, None, 16),
        (900, 12, 12),
        (2**15 - 1, 15, 15),
        (4096, 12, 14),  # a wrong claim
        (4095, 16, 12),
        (255, 8, 8),
    ],
)
def test_the_bits_of_gray_follow_from_the_file_or_from_the_largest_value(
    largest: int, significant: int | None, bits: int
) -> None:
    data = deep_gray(np.array([[largest, largest // 2]]), significant=significant)
    image = decode_whole(tf.constant(data)).numpy()[0, :, 0]
    assert image.tolist() == [largest >> (bits - 8), largest // 2 >> (bits - 8)]


def test_a_transparent_colour_of_deep_gray_lies_on_white() -> None:
    image = decode_whole(tf.constant(deep_gray(np.array([[4095, 1600, 1601]]), transparent=1600))).numpy()
    assert image[0, :, 0].tolist() == [255, 255, 1601 >> 4]


def test_the_fast_decode_scales_large_windows_down_and_the_accurate_one_does_not() -> None:
    data, window = tf.constant(encode(smooth(90, 70), "JPEG")), tf.constant([4, 6, 64, 80])
    shapes = [decode_fast(data, window, size).shape[:2].as_list() for size in (33, 32, 16, None)]
    assert shapes == [[64, 80], [32, 40], [16, 20], [64, 80]]
    assert decode_accurate(data, window).shape[:2].as_list() == [64, 80]
