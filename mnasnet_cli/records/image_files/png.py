"""Checks a PNG without decoding its pixels, and tells whether TensorFlow decodes it to its picture.

Source: PNG specification, third edition, and the checks of libpng. Files that differ from the usual are left to Pillow.
"""

from __future__ import annotations

import struct
import zlib

from mnasnet_cli.records.image_files.header import MAX_PIXELS, BadImage, ImageHeader
from mnasnet_cli.records.image_files.kinds import PNG_SIGNATURE
from mnasnet_cli.records.orientation import UPRIGHT, exif_orientation

_MAX_CHUNK = 1 << 20  # libpng refuses chunks of 8 MB, except for pixels
_COPIED_COLOURS = {0: 1, 2: 3, 3: 1}  # gray, RGB and palette → samples per pixel
_PALETTE = 3
_ANIMATION = (b"acTL", b"fcTL")


def read_png_header(data: bytes) -> ImageHeader:
    """Return the header of a PNG. If it is ordinary, all checksums are right and the pixels are complete.

    Raises BadImage if the file is cut off or damaged.
    """
    chunks = _Chunks()
    position, size = len(PNG_SIGNATURE), len(data)
    while position + 12 <= size:
        length, name = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        if end + 4 > size:
            raise BadImage("the PNG is cut off")
        intact = zlib.crc32(data[position + 4 : end]) == int.from_bytes(data[end : end + 4], "big")
        if not intact and not name[0] & 0x20:  # the chunk is needed for decoding
            raise BadImage("the PNG is damaged: a checksum is wrong")
        chunks.add(name, data[position + 8 : end], intact)
        position = end + 4
        if name == b"IEND":
            return chunks.header()
    raise BadImage("the PNG is cut off")


class _Chunks:
    """The chunks of a PNG."""

    def __init__(self) -> None:
        self._first = b""
        self._palette = False
        self._transparent = False
        self._ordinary = True
        self._pixels: list[bytes] = []
        self._exif = b""
        self._profile: bytes | None = None
        self._previous = b""

    def add(self, name: bytes, body: bytes, intact: bool) -> None:
        """Take a chunk into account."""
        if name == b"IDAT":
            self._ordinary &= not self._pixels or self._previous == b"IDAT"
            self._pixels.append(body)
        elif name == b"IHDR":
            self._ordinary &= not self._previous and len(body) == 13
            self._first = body
        elif name == b"PLTE":
            self._ordinary &= not (self._palette or self._pixels) and len(body) % 3 == 0 and 0 < len(body) <= 768
            self._palette = True
        elif name == b"tRNS":
            self._transparent = True
        elif name == b"eXIf":
            self._exif = body
        elif name == b"iCCP":
            self._profile = _inflate_profile(body)
        else:
            self._ordinary &= name == b"IEND" or (bool(name[0] & 0x20) and name not in _ANIMATION)
        self._ordinary &= intact and name.isalpha() and (len(body) <= _MAX_CHUNK or name == b"IDAT")
        self._previous = name

    def header(self) -> ImageHeader:
        """Return the header. Raises BadImage if there is none, or if the pixels are damaged."""
        if len(self._first) < 13 or not self._pixels:
            raise BadImage("the PNG contains no image")
        width, height, depth, colour, compression, filtering, interlaced = struct.unpack(">IIBBBBB", self._first[:13])
        if not width or not height:
            raise BadImage(f"the PNG header says {width}×{height} px")
        ordinary = (
            self._ordinary
            and not self._transparent
            and depth == 8
            and colour in _COPIED_COLOURS
            and (compression, filtering, interlaced) == (0, 0, 0)
            and (colour != _PALETTE or self._palette)
            and width * height <= MAX_PIXELS
        )
        if ordinary:
            ordinary = self._check_pixels(height, 1 + width * _COPIED_COLOURS[colour])
        orientation = exif_orientation(self._exif) if self._exif else UPRIGHT
        return ImageHeader("PNG", height, width, 1 if colour == 0 else 3, orientation, self._profile, ordinary)

    def _check_pixels(self, height: int, row_bytes: int) -> bool:
        """Raise BadImage if the pixels are not complete, and tell whether nothing follows them.

        Each row begins with the number of its filter, 0..4.
        """
        decompressor = zlib.decompressobj()
        try:
            rows = decompressor.decompress(b"".join(self._pixels), height * row_bytes + 1)
        except zlib.error:
            raise BadImage("the PNG is damaged: its pixels cannot be decompressed") from None
        if len(rows) < height * row_bytes:
            raise BadImage("the PNG is cut off: rows are missing")
        if max(rows[: height * row_bytes : row_bytes]) > 4:
            raise BadImage("the PNG is damaged: a row has an unknown filter")
        return decompressor.eof


def _inflate_profile(body: bytes) -> bytes | None:
    """Return the ICC profile of an iCCP chunk: a name, a zero, the compression method, and the compressed profile."""
    _, _, compressed = body.partition(b"\0")
    try:
        return zlib.decompress(compressed[1:])
    except zlib.error:
        return None
