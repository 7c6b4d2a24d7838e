"""Checks image files without decoding them, and re-encodes those that TensorFlow cannot decode as JPEG.

TensorFlow decodes baseline and progressive Huffman JPEGs with 8 bits and one or three components. These are copied
unchanged. All other images that Pillow can read are re-encoded.
"""

from __future__ import annotations

import io
import re
from typing import NamedTuple

from mnasnet_cli.records.plain_image import to_plain

QUALITY = 95
_JPEG_SIGNATURE = b"\xff\xd8\xff"
_OTHER_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"BM", b"RIFF")  # PNG, GIF, BMP, WebP

# JPEG markers and frames; source: ITU T.81, annex B.
_MARKER = re.compile(rb"\xff+[^\x00\xff]")
_MARKER_IN_DATA = re.compile(rb"\xff[^\x00]")  # a pattern without restart markers would take six times as long
_SOS, _EOI, _DHT, _DQT = 0xDA, 0xD9, 0xC4, 0xDB
_RESTARTS = range(0xD0, 0xD8)
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_COPIED_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive


class BadImage(Exception):
    """An image that cannot become a record; the message is the reason."""


class PreparedImage(NamedTuple):
    """An image for a record: JPEG bytes, height and width in px, 1 or 3 channels, and whether it was re-encoded."""

    data: bytes
    height: int
    width: int
    channels: int
    reencoded: bool


def prepare_image(data: bytes, *, max_side: int | None = None, verify: bool = False) -> PreparedImage:
    """Return an image as a JPEG that TensorFlow can decode. If possible, this is `data` itself.

    Args:
        data: the bytes of an image file.
        max_side: longest side in px; a larger image is scaled down.
        verify: decode the image completely, which finds damage within the compressed data.

    Raises BadImage.
    """
    if data.startswith(_JPEG_SIGNATURE):
        height, width, channels, can_be_copied = _check_jpeg(data)
        if can_be_copied and (max_side is None or max(height, width) <= max_side):
            if verify:
                _decode(data)
            return PreparedImage(data, height, width, channels, False)
    elif not data.startswith(_OTHER_SIGNATURES):
        raise BadImage(_describe_other_file(data))
    return _reencode(data, max_side)


def _describe_other_file(data: bytes) -> str:
    if not data:
        return "the file is empty"
    if data.isascii():
        return "this is text, not an image"
    return "this is not a JPEG, PNG, GIF, BMP or WebP image"


def _check_jpeg(data: bytes) -> tuple[int, int, int, bool]:
    """Return (height, width, channels, whether it can be copied) of a JPEG, from its markers.

    Raises BadImage if the file is cut off or damaged. The compressed data is searched for its end, but not decoded.
    """
    position, frame, seen = 2, None, set()
    size = len(data)
    while True:
        match = _MARKER.match(data, position)
        if match is None:
            raise BadImage("the JPEG is cut off" if position >= size - 1 else f"no JPEG marker at byte {position}")
        marker, position = data[match.end() - 1], match.end()
        if marker == _EOI:
            break
        if position + 2 > size:
            raise BadImage("the JPEG is cut off")
        length = data[position] << 8 | data[position + 1]
        if length < 2 or position + length > size:
            raise BadImage("the JPEG is cut off")
        if marker in _FRAMES:
            frame = (marker, data[position + 2 : position + length])
        seen.add(marker)
        position += length
        if marker == _SOS:  # the compressed data follows
            position = _end_of_data(data, position)
    if frame is None or len(frame[1]) < 6 or _SOS not in seen:
        raise BadImage("the JPEG contains no image")
    marker, body = frame
    bits, components = body[0], body[5]
    height, width = body[1] << 8 | body[2], body[3] << 8 | body[4]
    if not height or not width:
        raise BadImage(f"the JPEG header says {width}×{height} px")
    if bits != 8 or components not in (1, 3, 4) or marker & 3 == 3:
        raise BadImage(
            f"decoders do not support this kind of JPEG ({bits} bits, {components} components, frame 0x{marker:02x})"
        )
    can_be_copied = marker in _COPIED_FRAMES and components in (1, 3) and _DQT in seen and _DHT in seen
    return height, width, components, can_be_copied


def _end_of_data(data: bytes, start: int) -> int:
    """Return where the compressed data from `start` ends: at a marker that is not a restart marker or a fill byte."""
    position = start
    while match := _MARKER_IN_DATA.search(data, position):
        position = match.start()
        following = data[position + 1]
        if following == 0xFF:
            position += 1
        elif following in _RESTARTS:
            position += 2
        elif position == start:
            raise BadImage("the JPEG contains no image data")
        else:
            return position
    raise BadImage("the JPEG is cut off: there is no end-of-image marker")


def _decode(data: bytes) -> None:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadImage(f"decoding fails: {error}") from error


def _reencode(data: bytes, max_side: int | None) -> PreparedImage:
    """Decode with Pillow and encode as a grayscale or RGB JPEG.

    EXIF data is dropped, and its orientation is not applied: TensorFlow's decoder ignores it too.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            if max_side and max(image.size) > max_side:
                image.draft(None, (max_side, max_side))  # a JPEG is decoded at 1/2, 1/4 or 1/8 if that is large enough
            image.load()
            plain = to_plain(image)
            scale = max_side / max(plain.size) if max_side else 1.0
            if scale < 1:
                size = (max(1, round(plain.width * scale)), max(1, round(plain.height * scale)))
                plain = plain.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
            out = io.BytesIO()
            plain.save(out, "JPEG", quality=QUALITY, subsampling=0)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadImage(f"decoding fails: {error}") from error
    return PreparedImage(out.getvalue(), plain.height, plain.width, 1 if plain.mode == "L" else 3, True)
