"""What a file is, from its first bytes."""

from __future__ import annotations

import re
from typing import NamedTuple

IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".avif", ".heic", ".heif",
)  # fmt: skip
"""The ends of the names of image files, in lower case: what a folder is searched for."""

JPEG_SIGNATURE = b"\xff\xd8\xff"
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
UNKNOWN_FORMAT = "this is not an image of a known format"  # the reason if Pillow knows the file neither
HEIC = "HEIF"  # Pillow's name of the format that pillow-heif reads


class FileKind(NamedTuple):
    """A kind of file.

    format: Pillow's name of an image format that it reads, or "". name: for people. problem: why it cannot be read, or
    "" if Pillow may try.
    """

    format: str
    name: str
    problem: str = ""


def _refused(what: str, advice: str = "") -> FileKind:
    return FileKind("", what, f"this is {what}{f'; {advice}' if advice else ', not an image'}")


_CONVERT = "convert it to JPEG or PNG"
_EMPTY = FileKind("", "an empty file", "the file is empty")
_ZEROS = FileKind("", "zeros", "the file contains only zeros")
_TEXT = _refused("text")
_UNKNOWN = FileKind("", "image")  # Pillow may know it

# Offset, bytes, kind. The first that fits counts.
_SIGNATURES: tuple[tuple[int, bytes, FileKind], ...] = (
    (0, JPEG_SIGNATURE, FileKind("JPEG", "JPEG")),
    (0, PNG_SIGNATURE, FileKind("PNG", "PNG")),
    (0, b"GIF87a", FileKind("GIF", "GIF")),
    (0, b"GIF89a", FileKind("GIF", "GIF")),
    (8, b"WEBP", FileKind("WEBP", "WebP")),
    (8, b"WAVE", _refused("a sound file (WAV)")),
    (8, b"AVI ", _refused("a video (AVI)")),
    (8, b"CR\x02\x00", _refused("a raw photograph (CR2)", _CONVERT)),
    (0, b"II*\0", FileKind("TIFF", "TIFF")),
    (0, b"MM\0*", FileKind("TIFF", "TIFF")),
    (0, b"II+\0", FileKind("TIFF", "TIFF")),
    (0, b"MM\0+", FileKind("TIFF", "TIFF")),
    (0, b"IIRO", _refused("a raw photograph (ORF)", _CONVERT)),
    (0, b"IIU\0", _refused("a raw photograph (RW2)", _CONVERT)),
    (0, b"FUJIFILMCCD-RAW", _refused("a raw photograph (RAF)", _CONVERT)),
    (0, b"8BPS", FileKind("PSD", "PSD")),
    (0, b"\xff\x0a", _refused("a JPEG XL image", _CONVERT)),
    (0, b"\0\0\0\x0cJXL ", _refused("a JPEG XL image", _CONVERT)),
    (0, b"\0\0\0\x0cjP  ", FileKind("JPEG2000", "JPEG 2000")),
    (0, b"\xff\x4f\xff\x51", FileKind("JPEG2000", "JPEG 2000")),
    (0, b"v/1\x01", _refused("an OpenEXR image", _CONVERT)),
    (0, b"#?RADIANCE", _refused("a Radiance HDR image", _CONVERT)),
    (128, b"DICM", _refused("a DICOM image", _CONVERT)),
    (0, b"%PDF", _refused("a PDF document", _CONVERT)),
    (0, b"%!PS", _refused("a PostScript drawing", _CONVERT)),
    (0, b"\xc5\xd0\xd3\xc6", _refused("a PostScript drawing", _CONVERT)),
    (0, b"PK\x03\x04", _refused("a zip archive")),
    (0, b"PK\x05\x06", _refused("a zip archive")),
    (0, b"\x1f\x8b", _refused("a gzip archive")),
    (0, b"7z\xbc\xaf\x27\x1c", _refused("a 7z archive")),
    (0, b"Rar!", _refused("a RAR archive")),
    (257, b"ustar", _refused("a tar archive")),
    (0, b"\x1aE\xdf\xa3", _refused("a video (Matroska or WebM)")),
    (0, b"\0\0\x01\xba", _refused("a video (MPEG)")),
    (0, b"\0\0\x01\xb3", _refused("a video (MPEG)")),
    (0, b"FLV\x01", _refused("a video (Flash)")),
    (0, b"OggS", _refused("a sound or video file (Ogg)")),
    (0, b"ID3", _refused("a sound file (MP3)")),
    (0, b"\0\x05\x16\x07", _refused("a companion file of macOS", "remove the files whose names begin with ._")),
    (0, b"\x93NUMPY", _refused("a NumPy array", _CONVERT)),
    (0, b"\xd0\xcf\x11\xe0", _refused("an Office document")),
)
# The brand of an ISO media file ("ftyp") says what is in it.
_BRANDS = (
    (re.compile(rb"avi[fs]"), FileKind("AVIF", "AVIF")),
    (re.compile(rb"hei[cxmsf]|hev[cxms]|mif1|msf1|mif2"), FileKind(HEIC, "HEIC")),
    (re.compile(rb"crx "), _refused("a raw photograph (CR3)", _CONVERT)),
)
_VIDEO = _refused("a video (MP4 or QuickTime)")
_TEXTS = (
    (re.compile(r"\s*version https://git-lfs", re.I), _refused("a pointer of Git LFS", "run git lfs pull")),
    (re.compile(r".*?<svg\b", re.I | re.S), _refused("an SVG drawing", _CONVERT)),
    (re.compile(r"\s*(<!doctype html|.*?<(html|head|body)\b)", re.I | re.S), _refused("an HTML page")),
    (re.compile(r"\s*<\?xml", re.I), _refused("an XML document")),
    (re.compile(r"P[1-6fF]\s"), FileKind("PPM", "PPM")),
    (re.compile(r"(\s|/\*.*?\*/)*#define\s+\S*_width\s", re.S), FileKind("XBM", "XBM")),
    (re.compile(r"\s*/\* XPM \*/"), FileKind("XPM", "XPM")),
    (re.compile(r"SIMPLE  ="), FileKind("FITS", "FITS")),
)  # fmt: skip
_BEGINNING = 2048  # characters of a text that are looked at
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def describe_file(data: bytes) -> FileKind:
    """Return what a file is."""
    for offset, signature, kind in _SIGNATURES:
        if data.startswith(signature, offset):
            return kind
    if not data:
        return _EMPTY
    if data[4:8] == b"ftyp":
        return _iso_media(data)
    if data.startswith(b"BM") and not data.isascii():
        return FileKind("BMP", "BMP")
    text = _as_text(data[:_BEGINNING])
    if text is not None:
        return next((kind for pattern, kind in _TEXTS if pattern.match(text)), _TEXT)
    return _UNKNOWN if data.strip(b"\0") else _ZEROS


def _iso_media(data: bytes) -> FileKind:
    """Return what an ISO media file is, from its main brand, or else from the brands that it is compatible with."""
    end = min(int.from_bytes(data[:4], "big"), 256)
    brands = [data[8:12], *(data[start : start + 4] for start in range(16, end, 4))]
    for brand in brands:
        for pattern, kind in _BRANDS:
            if pattern.fullmatch(brand):
                return kind
    return _VIDEO


def _as_text(data: bytes) -> str | None:
    """Return the beginning of a file as text, or None if it is not text."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(data) < _BEGINNING or error.start < len(data) - 3:
            return None
        text = data[: error.start].decode("utf-8-sig")  # the beginning ends within a character
    return None if _CONTROL_CHARACTERS.search(text) else text
