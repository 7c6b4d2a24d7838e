"""Reads the header of an encoded image: its format, size, channels and EXIF orientation. Nothing is decoded.

A JPEG is read marker by marker up to its image data (ITU T.81, annex B), a PNG chunk by chunk. Pillow reads the header
of all other formats.
"""

from __future__ import annotations

import io
import struct
from typing import NamedTuple

from mnasnet_cli.records.orientation import EXIF_HEADER, UPRIGHT, exif_orientation

JPEG_SIGNATURE = b"\xff\xd8\xff"
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SOS, _EOI, _APP1 = 0xDA, 0xD9, 0xE1
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_HUFFMAN_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # by colour type


class ImageHeader(NamedTuple):
    """The header of an image.

    format: Pillow's name of the format. width, height: of the stored frame in px. channels: 1 for gray, 3 for colours,
    2 and 4 with transparency, 4 also for CMYK. orientation: 1..8 of the EXIF data, 1 if there is none.
    decodable: whether TensorFlow can decode this kind of image.
    """

    format: str
    width: int
    height: int
    channels: int
    orientation: int
    decodable: bool


def read_header(data: bytes) -> ImageHeader | None:
    """Return the header of an encoded image, None if it cannot be read."""
    if data.startswith(JPEG_SIGNATURE):
        return _read_jpeg(data)
    if data.startswith(PNG_SIGNATURE):
        return _read_png(data)
    return _read_other(data)


def _read_jpeg(data: bytes) -> ImageHeader | None:
    position, size, frame, orientation = 2, len(data), None, 0
    while position + 4 <= size and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if marker in (_SOS, _EOI):
            break
        length = data[position + 2] << 8 | data[position + 3]
        if marker in _FRAMES:
            frame = marker, data[position + 4 : position + 10]
        elif marker == _APP1 and not orientation and data.startswith(EXIF_HEADER, position + 4):
            orientation = exif_orientation(data[position + 4 : position + 2 + length])
        position += 2 + length
    if frame is None or len(frame[1]) < 6:
        return None
    marker, body = frame
    bits, height, width, channels = struct.unpack(">BHHB", body)
    if not width or not height:
        return None
    decodable = bits == 8 and marker in _HUFFMAN_FRAMES and channels in (1, 3)
    return ImageHeader("JPEG", width, height, channels, orientation or UPRIGHT, decodable)


def _read_png(data: bytes) -> ImageHeader | None:
    if data[12:16] != b"IHDR" or len(data) < 33:
        return None
    width, height, _, colours = struct.unpack_from(">IIBB", data, 16)
    orientation, position = UPRIGHT, 33
    while position + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        if name == b"eXIf":
            orientation = exif_orientation(data[position + 8 : position + 8 + length])
            break
        position += length + 12
    return ImageHeader("PNG", width, height, _PNG_CHANNELS.get(colours, 3), orientation, True)


def _read_other(data: bytes) -> ImageHeader | None:
    from PIL import Image

    from mnasnet_cli.records.orientation import image_orientation

    try:
        with Image.open(io.BytesIO(data)) as image:
            channels = 1 if image.mode in ("1", "L", "I", "I;16", "F") else len(image.getbands())
            kind = image.format or ""
            decodable = kind in ("GIF", "BMP")
            return ImageHeader(kind, image.width, image.height, channels, image_orientation(image), decodable)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
