"""Which images are copied, re-encoded or refused."""

from __future__ import annotations

import contextlib
import io
import re
import struct
import sys
import zlib
from typing import Any

import numpy as np
import pytest
from colour_profiles import srgb_profile, swapped_profile
from PIL import Image

from data_prep.images.prepared_image import PreparedImage, prepare_image
from mnasnet_cli.records.image_files.header import BadImage
from mnasnet_cli.records.orientation import ORIENTATION_TAG, turn_upright

NOISE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
SMOOTH = np.broadcast_to(np.linspace(0, 255, 60, dtype=np.uint8)[None, :, None], (40, 60, 3)).copy()


def encode(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def pixels_of(image: PreparedImage) -> np.ndarray:
    """[H, W] or [H, W, 3] uint8, after a look at what the record says of the image."""
    with Image.open(io.BytesIO(image.data)) as decoded:
        assert decoded.format == image.format
        assert decoded.size == (image.width, image.height)
        assert len(decoded.getbands()) == image.channels
        assert "exif" not in decoded.info
        assert "icc_profile" not in decoded.info
        return np.asarray(decoded)


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
    assert image == (data, 40, 60, channels, False, "JPEG", 1, 40, 60, False)
    assert image.data is data
    assert prepare_image(data, max_side=60, verify=True).data is data


def test_tensorflow_decodes_the_same_shape() -> None:
    import tensorflow as tf

    for data in (JPEG, encode(RGB, progressive=True), encode(RGB.convert("L")), encode(RGB.convert("CMYK"))):
        image = prepare_image(data)
        assert tf.io.decode_jpeg(image.data).shape == (image.height, image.width, image.channels)


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_plain_pngs_are_copied(mode: str) -> None:
    data = encode(RGB.convert(mode), "PNG")
    channels = 1 if mode == "L" else 3
    assert prepare_image(data, verify=True) == (data, 40, 60, channels, False, "PNG", 1, 40, 60, False)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "WEBP", "TIFF", "CMYK", "AVIF"])
def test_other_files_become_a_png_of_their_pixels(kind: str) -> None:
    smooth = Image.fromarray(SMOOTH)
    data = encode(smooth.convert("CMYK")) if kind == "CMYK" else encode(smooth, kind)
    image = prepare_image(data)
    assert image[1:] == (40, 60, 3, True, "PNG", 1, 40, 60, False)
    with Image.open(io.BytesIO(data)) as opened:
        assert np.array_equal(pixels_of(image), opened.convert("RGB"))


def test_ycck_becomes_a_png() -> None:
    data = bytearray(encode(Image.fromarray(SMOOTH).convert("CMYK")))
    adobe = data.index(b"Adobe")
    data[adobe + 11] = 2  # the transform flag: 2 says YCCK
    assert prepare_image(bytes(data))[1:6] == (40, 60, 3, True, "PNG")


@pytest.mark.parametrize(
    "options",
    [{"mode": "RGBA"}, {"mode": "LA"}, {"mode": "RGB", "transparency": (0, 0, 0)}, {"mode": "L", "transparency": 0},
     {"mode": "P", "transparency": 0}],
)  # fmt: skip
def test_transparent_pixels_become_white(options: dict[str, Any]) -> None:
    mode = options.pop("mode")
    image = prepare_image(encode(Image.new(mode, (8, 8)), "PNG", **options))
    assert image.channels == (1 if mode in ("L", "LA") else 3)
    assert image.reencoded
    assert pixels_of(image).min() == 255


def test_sixteen_bit_gray_keeps_its_range() -> None:
    values = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)
    image = prepare_image(encode(Image.fromarray(values), "PNG"))
    assert image.channels == 1
    assert np.array_equal(pixels_of(image), values // 256)


def test_max_side_scales_only_larger_images() -> None:
    image = prepare_image(JPEG, max_side=30)
    assert image[1:] == (20, 30, 3, True, "JPEG", 1, 40, 60, False)
    assert pixels_of(image).shape == (20, 30, 3)
    assert prepare_image(encode(RGB.convert("L")), max_side=30).channels == 1
    assert prepare_image(encode(RGB, "GIF"), max_side=60).format == "PNG"
    thin = encode(Image.new("RGB", (400, 1)))
    assert prepare_image(thin, max_side=50)[1:3] == (1, 50)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("value", range(1, 9))
def test_pictures_are_turned_upright(kind: str, value: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = value
    options = {"lossless": True} if kind == "WEBP" else {}
    stored = encode(RGB, kind, **options)
    data = encode(RGB, kind, exif=exif, **options)
    image = prepare_image(data)
    assert image.orientation == value
    assert (image.stored_height, image.stored_width) == (40, 60)
    assert image.reencoded == (value > 1 or kind not in ("JPEG", "PNG"))
    with Image.open(io.BytesIO(stored)) as frame:
        frame.load()
        assert np.array_equal(pixels_of(image._replace(data=strip(image.data))), turn_upright(frame, value))


def strip(data: bytes) -> bytes:
    """A copied JPEG or PNG without its EXIF data, which says that it is upright."""
    with Image.open(io.BytesIO(data)) as image:
        assert image.getexif().get(ORIENTATION_TAG, 1) == 1
        image.load()
        if image.format == "JPEG":
            start = data.index(b"\xff\xe1")
            return data[:start] + data[start + 2 + int.from_bytes(data[start + 2 : start + 4], "big") :]
        image.info.clear()
        return encode(image, "PNG")


def test_exif_data_behind_the_pixels_of_a_png_counts() -> None:
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = 6
    data = encode(RGB, "PNG")
    data = data[:-12] + chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")) + data[-12:]
    assert (prepare_image(data).height, prepare_image(data).orientation) == (60, 6)


def test_exif_data_behind_the_pixels_of_a_jpeg_does_not_count() -> None:
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = 6
    data = JPEG[:-2] + segment(0xE1, exif.tobytes()) + JPEG[-2:]
    assert prepare_image(data).data is data


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_exif_ignore_keeps_pictures_as_stored(kind: str) -> None:
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = 6  # the camera was turned by 90 degrees
    data = encode(RGB, kind, exif=exif)
    image = prepare_image(data, exif="ignore")
    assert (image.height, image.width, image.orientation) == (40, 60, 1)
    assert image.reencoded == (kind == "TIFF")
    assert prepare_image(data, max_side=30, exif="ignore")[1:3] == (20, 30)
    assert prepare_image(data, max_side=30)[1:3] == (30, 20)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_srgb_profiles_change_nothing(kind: str, mode: str) -> None:
    data = encode(RGB.convert(mode), kind, icc_profile=srgb_profile())
    assert prepare_image(data).data is data


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_colours_of_other_profiles_are_converted(kind: str) -> None:
    image = prepare_image(encode(RGB, kind, icc_profile=swapped_profile()))
    assert image.converted
    assert image.format == "PNG"
    with Image.open(io.BytesIO(encode(RGB, kind))) as stored:
        assert np.abs(pixels_of(image)[..., [1, 0, 2]].astype(int) - stored.convert("RGB")).max() <= 2


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_damaged_profiles_are_ignored(kind: str) -> None:
    data = encode(RGB, kind, icc_profile=b"no profile" * 20)
    assert prepare_image(data).data is data


def test_heic() -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    image = prepare_image(encode(Image.fromarray(SMOOTH), "HEIF", quality=95))
    assert image[1:] == (40, 60, 3, True, "PNG", 1, 40, 60, False)
    assert np.abs(pixels_of(image).astype(int) - SMOOTH).mean() < 4


def test_heic_without_pillow_heif(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(BadImage, match="this is a HEIC image; to read it, run: pip install pillow-heif"):
        prepare_image(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))


PNG_START = b"\x89PNG\r\n\x1a\n"


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_claiming(width: int, height: int) -> bytes:
    return PNG_START + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + chunk(b"IEND", b"")


ENTROPY = JPEG.index(b"\xff\xda") + 14


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"hello\n", "text"),
        (b"<html>404</html>", "HTML page"),
        (bytes(range(128, 256)), "not an image of a known format"),
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
        (encode(RGB, "PNG")[:-300], "the PNG is cut off"),
        (png_claiming(100_000, 100_000), "contains no image"),
    ],
)
def test_refused(data: bytes, reason: str) -> None:
    with pytest.raises(BadImage, match=reason):
        prepare_image(data)


BIG = encode(Image.fromarray(np.random.default_rng(1).integers(0, 256, (200, 300, 3), dtype=np.uint8)))


@pytest.mark.parametrize(
    "data",
    [
        BIG[: len(BIG) // 2] + b"\xff\xd9",  # cut off, with an end marker
        BIG[: len(BIG) // 2] + bytes(2000) + BIG[len(BIG) // 2 + 2000 :],
        BIG[: len(BIG) // 2] + BIG[len(BIG) // 2 + 3000 :],
    ],
    ids=["cut", "zeros", "hole"],
)
def test_verify_finds_damage_within_the_data(data: bytes) -> None:
    assert prepare_image(data).data is data
    with pytest.raises(BadImage, match="the JPEG is damaged"):
        prepare_image(data, verify=True)


def test_verify_accepts_bytes_before_the_end_of_image() -> None:
    """Some cameras write them."""
    data = BIG[:-2] + bytes(6) + BIG[-2:]
    assert prepare_image(data, verify=True).data is data


def segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body


def changed(offset: int, value: int, marker: bytes) -> bytes:
    """JPEG with another byte at an offset from a marker."""
    position = JPEG.index(marker) + offset
    return JPEG[:position] + bytes((value,)) + JPEG[position + 1 :]


def refined(components: str) -> bytes:
    """A progressive JPEG whose scan that refines the DC coefficients names other components."""
    header = "03{}00{}00{}00000010"
    before = bytes.fromhex(header.format("01", "02", "03"))
    return encode(RGB, progressive=True).replace(before, bytes.fromhex(header.format(*components.split())))


UNUSUAL = {
    "component twice in a scan": refined("01 01 03"),
    "components of a scan in another order": refined("03 02 01"),
    "Huffman code too long": changed(5, 0xF0, b"\xff\xc4"),
    "Huffman table 9": changed(4, 9, b"\xff\xc4"),
    "DC symbol over 15": changed(21, 99, b"\xff\xc4"),
    "quantization table 9": changed(4, 9, b"\xff\xdb"),
    "quantization table missing": changed(12, 3, b"\xff\xc0"),
    "sampling factor 0": changed(11, 0, b"\xff\xc0"),
    "sampling factor 3": changed(14, 0x31, b"\xff\xc0"),
    "component missing": changed(9, 2, b"\xff\xc0"),
    "scan of another component": changed(5, 77, b"\xff\xda"),
    "Huffman table missing": changed(6, 0x33, b"\xff\xda"),
    "two frames": JPEG[:2] + JPEG[JPEG.index(b"\xff\xc0") :][:19] + JPEG[2:],
    "second start of image": JPEG[:2] + segment(0xD8, b"") + JPEG[2:],
    "restart interval of 4 bytes": JPEG[:2] + segment(0xDD, bytes(4)) + JPEG[2:],
    "arithmetic coding": JPEG.replace(b"\xff\xc0", b"\xff\xc9"),
}


@pytest.mark.parametrize("data", UNUSUAL.values(), ids=UNUSUAL)
def test_unusual_jpegs_are_never_copied(data: bytes) -> None:
    with contextlib.suppress(BadImage):
        assert prepare_image(data).format == "PNG"


def test_jpegs_too_large_for_tensorflow_can_be_scaled() -> None:
    wide = JPEG.index(b"\xff\xc0") + 5
    data = JPEG[:wide] + (30_000).to_bytes(2, "big") + (40_000).to_bytes(2, "big") + JPEG[wide + 4 :]
    with pytest.raises(BadImage, match=r"40,000×30,000 px.*scale it down"):
        prepare_image(data)
    image = prepare_image(data, max_side=500)
    assert (image.height, image.width, image.stored_width) == (375, 500, 40_000)


@pytest.mark.parametrize("position", [20, 45, -20])
def test_damaged_pngs_are_refused(position: int) -> None:
    data = bytearray(encode(RGB, "PNG"))
    data[position] ^= 0x10
    with pytest.raises(BadImage, match="the PNG"):
        prepare_image(bytes(data))


def test_a_png_without_all_rows_is_refused() -> None:
    rows = zlib.compress(bytes(30 * 181))
    data = PNG_START + chunk(b"IHDR", struct.pack(">IIBBBBB", 60, 40, 8, 2, 0, 0, 0)) + chunk(b"IDAT", rows)
    with pytest.raises(BadImage, match="rows are missing"):
        prepare_image(data + chunk(b"IEND", b""))


def test_reasons_have_no_addresses() -> None:
    for kind in ("GIF", "BMP", "WEBP", "TIFF", "AVIF"):
        with pytest.raises(BadImage) as caught:
            prepare_image(encode(RGB, kind)[:60])
        assert re.fullmatch(r"the \w+ (is cut off|is damaged: [a-z ]+|cannot be decoded; [a-z ]+)", str(caught.value))
