"""Reads what health needs of an encoded image in a record: its size, channels and EXIF orientation.

A JPEG is checked as preparation does. Of a PNG, only the chunks are read: to check its pixels takes a hundred times as
long. Pillow reads the header of all other formats.
"""

from __future__ import annotations

import io
import struct
from typing import NamedTuple

from mnasnet_cli.records.image_files.header import BadImage
from mnasnet_cli.records.image_files.jpeg import read_jpeg_header
from mnasnet_cli.records.image_files.kinds import JPEG_SIGNATURE, PNG_SIGNATURE
from mnasnet_cli.records.orientation import UPRIGHT, exif_orientation, image_orientation

_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # by colour type
_IHDR_END = 33


class StoredHeader(NamedTuple):
    """The header of an image in a record.

    width, height: of the stored frame in px. channels: 1 for gray, 3 for colours, 2 and 4 with transparency, 4 also for
    CMYK. orientation: 1..8 of the EXIF data, 1 if there is none. decodable: whether TensorFlow is sure to decode it.
    """

    width: int
    height: int
    channels: int
    orientation: int
    decodable: bool


def read_stored_header(data: bytes) -> StoredHeader | None:
    """Return the header of an encoded image, None if it is damaged or no image."""
    if data.startswith(JPEG_SIGNATURE):
        try:
            jpeg = read_jpeg_header(data)
        except BadImage:
            return None
        return StoredHeader(jpeg.width, jpeg.height, jpeg.channels, jpeg.orientation, jpeg.ordinary)
    return _read_png(data) if data.startswith(PNG_SIGNATURE) else _read_other(data)


def stored_orientation(data: bytes) -> int:
    """Return the EXIF orientation 1..8 of an encoded image in a record, 1 if it is damaged."""
    header = read_stored_header(data)
    return header.orientation if header else UPRIGHT


def _read_png(data: bytes) -> StoredHeader | None:
    if data[12:16] != b"IHDR" or len(data) < _IHDR_END:
        return None
    width, height, _, colours = struct.unpack_from(">IIBB", data, 16)
    orientation, position = UPRIGHT, _IHDR_END
    while position + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        if name == b"eXIf":
            orientation = exif_orientation(data[position + 8 : position + 8 + length])
            break
        position += length + 12
    return StoredHeader(width, height, _PNG_CHANNELS.get(colours, 3), orientation, True)


def _read_other(data: bytes) -> StoredHeader | None:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            channels = len(image.getbands()) if image.mode != "P" else 3
            decodable = image.format in ("GIF", "BMP")
            return StoredHeader(image.width, image.height, channels, image_orientation(image), decodable)
    except Exception:  # decoders raise all kinds of errors for a damaged image
        return None
