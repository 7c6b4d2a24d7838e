"""Files are named as what they are."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from mnasnet_cli.records.image_files.kinds import describe_file
from mnasnet_cli.records.image_files.opening import BadImage, load_image

KINDS = {
    b"": "the file is empty",
    bytes(500): "only zeros",
    b"hello": "text, not an image",
    "größe,klasse\n".encode(): "text",
    b"<!DOCTYPE html><html></html>": "an HTML page",
    b"\xef\xbb\xbf <html lang=en>": "an HTML page",
    b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg">': "an SVG drawing; convert",
    b'<?xml version="1.0"?><annotation/>': "an XML document",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0": "a pointer of Git LFS; run git lfs pull",
    b"%PDF-1.7\n\xff": "a PDF document; convert",
    b"%!PS-Adobe-3.0": "a PostScript drawing",
    b"PK\x03\x04" + bytes(30): "a zip archive",
    b"\0\0\0\x18ftypmp42\0\0\0\0isommp42": "a video (MP4 or QuickTime)",
    b"\0\0\0\x14ftypqt  \0\0\0\0qt  ": "a video (MP4 or QuickTime)",
    b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom": "a raw photograph (CR3)",
    b"\x1aE\xdf\xa3" + bytes(30): "a video (Matroska or WebM)",
    b"RIFF\0\0\0\0AVI LIST": "a video (AVI)",
    b"II*\0\x10\0\0\0CR\x02\0": "a raw photograph (CR2)",
    b"\xff\x0a" + bytes(30) + b"\1": "a JPEG XL image",
    b"\0\x05\x16\x07" + bytes(30): "remove the files whose names begin with ._",
    bytes(range(128, 256)): "not an image of a known format",
    b"BM but not a bitmap": "text",
}  # fmt: skip


@pytest.mark.parametrize(("data", "reason"), KINDS.items(), ids=KINDS.values())
def test_other_files_are_named(data: bytes, reason: str) -> None:
    with pytest.raises(BadImage) as caught:
        load_image(data)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF", "JPEG2000"])
def test_images_are_recognized(kind: str) -> None:
    out = io.BytesIO()
    Image.new("RGB", (8, 6)).save(out, kind)
    assert describe_file(out.getvalue()).format == kind


@pytest.mark.parametrize(
    ("brands", "name"),
    [(b"heic\0\0\0\0mif1heic", "HEIC"), (b"mif1\0\0\0\0heic", "HEIC"), (b"avif\0\0\0\0mif1", "AVIF")],
)
def test_heic_and_avif_differ_by_their_brands(brands: bytes, name: str) -> None:
    data = (8 + len(brands)).to_bytes(4, "big") + b"ftyp" + brands
    assert describe_file(data).name == name


def test_a_long_text_may_be_cut_within_a_character() -> None:
    assert "text" in describe_file(("a" * 2047 + "ä").encode()).problem


@pytest.mark.parametrize(
    "data",
    [b"P2\n2 1\n255\n0 255\n", b"#define a_width 8\n#define a_height 1\nstatic char a_bits[] = {\n0x0f };\n",
     b'/* XPM */\nstatic char *a[] = {\n"2 1 2 1",\n"a c #ffffff",\n"b c #000000",\n"ab"\n};\n'],
    ids=["PGM", "XBM", "XPM"],
)  # fmt: skip
def test_images_in_text_form_are_read(data: bytes) -> None:
    assert load_image(data).image.height == 1
