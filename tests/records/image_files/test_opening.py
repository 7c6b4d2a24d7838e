"""How files are decoded: which frame, how large, and what is said of damaged ones."""

from __future__ import annotations

import io
import re
import struct

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from mnasnet_cli.records.image_files.opening import BadImage, load_image
from mnasnet_cli.records.orientation import ORIENTATION_TAG

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "PNG"])
def test_the_first_frame_is_used(kind: str) -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert load_image(data).image.convert("RGB").getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize(("width", "height"), [(1 << 23, 8), (8, 1 << 23), (16_383, 8_000)])
def test_a_small_file_that_claims_very_many_pixels_is_not_decoded(width: int, height: int) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = bytearray(encode(frames[0], "WEBP", save_all=True, append_images=frames[1:]))
    data[24:30] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")  # of the canvas
    with pytest.raises(BadImage, match=f"claims {width:,}×{height:,} px in .* bytes: it is damaged or blank"):
        load_image(bytes(data))


def test_a_blank_page_is_an_image() -> None:
    assert load_image(encode(Image.new("1", (5_000, 7_000), 1), "PNG")).image.size == (5_000, 7_000)


@pytest.mark.parametrize("value", range(1, 9))
def test_a_tiff_is_not_turned(value: int) -> None:
    tags = Image.Exif()
    tags[ORIENTATION_TAG] = value
    stored = load_image(encode(Image.fromarray(PIXELS), "TIFF", exif=tags))
    assert (stored.orientation, stored.height, stored.width) == (value, 40, 60)
    assert np.array_equal(stored.image, PIXELS)


def test_a_large_jpeg_is_decoded_at_a_fraction() -> None:
    stored = load_image(encode(Image.fromarray(PIXELS), "JPEG"), max_side=20)
    assert stored.image.size == (30, 20)
    assert (stored.height, stored.width) == (40, 60)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF", "JPEG2000"])
@pytest.mark.parametrize("share", [0.1, 0.6])
def test_files_that_are_cut_off_have_a_plain_reason(
    kind: str, share: float, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    options = {"compression": "tiff_lzw"} if kind == "TIFF" else {}
    data = encode(Image.fromarray(PIXELS), kind, **options)
    with pytest.raises(BadImage) as caught:
        load_image(data[: int(len(data) * share)])
    assert re.fullmatch(
        r"the [\w 0]+ (is cut off|is damaged: [\w ,.;:'-]+|cannot be decoded; [\w ]+)", str(caught.value)
    )
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


def test_libtiff_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(encode(Image.fromarray(PIXELS), "TIFF", compression="tiff_lzw"))
    data[8:600] = bytes(592)
    with pytest.raises(BadImage):
        load_image(bytes(data))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("entries", [{0xC612: b"\1\4\0\0"}, {0xFE: 1, 0x14A: 8}], ids=["DNG", "NEF"])
def test_raw_photographs_are_refused(entries: dict[int, object]) -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in entries.items():
        tags[tag] = value
    with pytest.raises(BadImage, match="raw photograph"):
        load_image(encode(Image.fromarray(PIXELS), "TIFF", tiffinfo=tags))


def test_packed_twelve_bits_are_known() -> None:
    # Pillow writes no such TIFF: one row of two pixels, 0xFFF and 0x800.
    tags = [(256, 2), (257, 1), (258, 12), (259, 1), (262, 1), (273, 122), (277, 1), (278, 1), (279, 3)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    data = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + b"\xff\xf8\x00"
    assert load_image(data).image.info["significant_bits"] == 12
