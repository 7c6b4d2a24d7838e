"""Look at image files without decoding them, and re-encode the few that must be.

TensorFlow's decoder takes baseline and progressive Huffman JPEGs of 8 bits with one or three components; those are
copied as they are. Everything else that Pillow can read becomes such a JPEG.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, NamedTuple

from mnasnet_cli.records.plain_image import to_plain

if TYPE_CHECKING:
    pass


QUALITY = 95
_MARKER = re.compile(rb"\xff+[^\x00\xff]")
_IN_DATA = re.compile(rb"\xff[^\x00]")  # six times as fast to search for as a pattern that leaves out restart markers
_DIRECT_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


_SOS, _EOI, _DHT, _DQT = 0xDA, 0xD9, 0xC4, 0xDB
_MAGIC = {b"\x89PNG\r\n\x1a\n": "PNG", b"GIF87a": "GIF", b"GIF89a": "GIF", b"BM": "BMP", b"RIFF": "WebP"}


class BadImage(Exception):
    """An image that cannot become a record; the message is the reason."""


class ImageFacts(NamedTuple):
    """A whole image: the bytes for the record, size in pixels, channels 1 or 3, and whether it was re-encoded."""

    data: bytes
    height: int
    width: int
    channels: int
    reencoded: bool


def prepare_image(data: bytes, *, max_side: int | None = None, verify: bool = False) -> ImageFacts:
    """Return the image as a JPEG that every decoder takes; `data` itself wherever that is possible.

    Args:
        data: a file's bytes.
        max_side: an image with a longer side in px is scaled down to it.
        verify: decode the whole image too, which finds damage inside the compressed data.

    Raises BadImage.
    """
    if data[:3] == b"\xff\xd8\xff":
        height, width, channels, direct = _check_jpeg(data)
        small = max_side is None or max(height, width) <= max_side
        if direct and small:
            if verify:
                _decode(data)
            return ImageFacts(data, height, width, channels, False)
    elif not any(data.startswith(magic) for magic in _MAGIC):
        raise BadImage(_describe(data))
    return _reencode(data, max_side)


def _describe(data: bytes) -> str:
    if not data:
        return "the file is empty"
    if data.isascii():
        return "this is text, not an image"
    return "neither a JPEG nor a PNG, GIF, BMP or WebP image"


def _check_jpeg(data: bytes) -> tuple[int, int, int, bool]:
    """Walk the markers from start to end of image: (height, width, channels, whether it can be copied as it is).

    Finds a file that was cut off, also within the compressed data, without decoding it. Source: ITU T.81, annex B.
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
        if marker == _SOS:  # the compressed data runs to the next real marker
            position = _end_of_data(data, position)
    if frame is None or len(frame[1]) < 6 or _SOS not in seen:
        raise BadImage("the JPEG has no image in it")
    marker, body = frame
    bits, components = body[0], body[5]
    height, width = body[1] << 8 | body[2], body[3] << 8 | body[4]
    if not height or not width:
        raise BadImage(f"the JPEG says {width}×{height} pixels")
    if bits != 8 or components not in (1, 3, 4) or marker & 3 == 3:
        raise BadImage(
            f"a JPEG kind that decoders don't take ({bits} bits, {components} components, frame 0x{marker:02x})"
        )
    direct = marker in _DIRECT_FRAMES and components in (1, 3) and _DQT in seen and _DHT in seen
    return height, width, components, direct


def _end_of_data(data: bytes, start: int) -> int:
    """Return where the compressed data that begins at `start` ends: at a marker that is neither restart nor fill."""
    position = start
    while match := _IN_DATA.search(data, position):
        position = match.start()
        following = data[position + 1]
        if following == 0xFF:
            position += 1
        elif 0xD0 <= following <= 0xD7:
            position += 2
        elif position == start:
            raise BadImage("the JPEG has no image data")
        else:
            return position
    raise BadImage("the JPEG is cut off: its data ends without an end-of-image marker")


def _decode(data: bytes) -> None:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadImage(f"decoding fails: {error}") from error


def _reencode(data: bytes, max_side: int | None) -> ImageFacts:
    """Decode with Pillow and encode as JPEG, grayscale or RGB; EXIF goes (its orientation too: decoders ignore it)."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            if max_side and max(image.size) > max_side:
                image.draft(None, (max_side, max_side))  # JPEG: decode at 1/2, 1/4 or 1/8 where that is still enough
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
    return ImageFacts(out.getvalue(), plain.height, plain.width, 1 if plain.mode == "L" else 3, True)
