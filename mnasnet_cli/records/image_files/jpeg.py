"""Reads the header of a JPEG without decoding it, and tells whether TensorFlow is sure to decode the file.

Source: ITU T.81, annex B. Files that differ from what cameras and encoders write are left to Pillow, which is more
forgiving.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from mnasnet_cli.records.image_files.header import MAX_PIXELS, BadImage, ImageHeader
from mnasnet_cli.records.image_files.jpeg_structure import FRAMES, SOS, check_segments
from mnasnet_cli.records.image_files.opening import load_image
from mnasnet_cli.records.orientation import EXIF_HEADER, UPRIGHT, exif_orientation

_MARKER = re.compile(rb"\xff+[^\x00\xff]")
_MARKER_IN_DATA = re.compile(rb"\xff[^\x00]")  # a pattern without restart markers would take six times as long
_EOI, _APP1, _APP2 = 0xD9, 0xE1, 0xE2
_RESTARTS = range(0xD0, 0xD8)
_IGNORED = frozenset((*range(0xE0, 0xF0), 0xFE))  # APPn and comments
_ICC_HEADER = b"ICC_PROFILE\0"
_MAX_SIDE = 65_500  # libjpeg's
_LEFT_OVER = re.compile(r"(\d+) extraneous bytes before marker 0xd9")  # before the end of the image
_MAX_LEFT_OVER = 64  # some cameras write a few; more are a sign of damage


def read_jpeg_header(data: bytes) -> ImageHeader:
    """Return the header of a JPEG. It has a profile if this is complete.

    The compressed data is searched for its end, but not decoded. Raises BadImage if the file is cut off or damaged, or
    is of a kind that no decoder supports.
    """
    content = _read_segments(data)
    frame, in_order = check_segments(tuple(content.structure))
    if frame is None or len(content.sides) < 4:
        raise BadImage("the JPEG contains no image")
    height, width = int.from_bytes(content.sides[:2], "big"), int.from_bytes(content.sides[2:], "big")
    if not height or not width:
        raise BadImage(f"the JPEG header says {width}×{height} px")
    if frame.bits != 8 or frame.components not in (1, 3, 4) or frame.marker & 3 == 3:
        raise BadImage(
            f"decoders do not support this kind of JPEG ({frame.bits} bits, {frame.components} components,"
            f" frame 0x{frame.marker:02x})"
        )
    return ImageHeader(
        "JPEG", height, width, frame.components,
        orientation=exif_orientation(content.exif) if content.exif else UPRIGHT,
        profile=_join_profile(content.profiles) if content.profiles else None,
        ordinary=in_order and max(height, width) <= _MAX_SIDE and height * width <= MAX_PIXELS,
    )  # fmt: skip


class _Content(NamedTuple):
    """What the segments of a JPEG hold.

    structure: those that decoding depends on, each after its marker; the frame header without the sides of the image.
    sides: height and width, 2 bytes each. exif: the EXIF data. profiles: the parts of the ICC profile.
    """

    structure: list[bytes]
    sides: bytes
    exif: bytes
    profiles: list[bytes]


def _read_segments(data: bytes) -> _Content:
    position, size = 2, len(data)
    structure: list[bytes] = []
    profiles: list[bytes] = []
    sides = b""
    exif: bytes | None = None
    while True:
        match = _MARKER.match(data, position)
        if match is None:
            raise BadImage("the JPEG is cut off" if position >= size - 1 else f"no JPEG marker at byte {position}")
        marker, position = data[match.end() - 1], match.end()
        if marker == _EOI:
            return _Content(structure, sides, exif or b"", profiles)
        end = position + int.from_bytes(data[position : position + 2], "big")
        if end < position + 2 or end > size:
            raise BadImage("the JPEG is cut off")
        body = data[position + 2 : end]
        if marker == _APP1:
            if exif is None and body.startswith(EXIF_HEADER):
                exif = body
        elif marker == _APP2:
            if body.startswith(_ICC_HEADER):
                profiles.append(body[len(_ICC_HEADER) :])
        elif marker in FRAMES:
            sides = body[1:5]
            structure.append(bytes((marker,)) + body[:1] + body[5:])
        elif marker not in _IGNORED:
            structure.append(bytes((marker,)) + body)
        position = end
        if marker == SOS:
            exif = exif or b""  # what follows the data does not count
            position = _end_of_data(data, position)


def jpeg_damage(data: bytes) -> str:
    """Return what is damaged within the compressed data of a JPEG, "" if nothing is.

    libjpeg warns of it; Pillow and TensorFlow ignore these warnings. Raises BadImage if nothing can be decoded.
    """
    import simplejpeg

    def decode(strict: bool) -> None:
        # At an eighth of the size all of the data is read, and most of the time saved.
        simplejpeg.decode_jpeg(data, min_height=1, min_width=1, min_factor=1, strict=strict)

    try:
        decode(strict=True)
    except ValueError as warning:
        left_over = _LEFT_OVER.search(str(warning))
        if left_over and int(left_over[1]) <= _MAX_LEFT_OVER:
            return ""
        try:
            decode(strict=False)
        except ValueError:  # simplejpeg does not support this kind of JPEG
            load_image(data)
            return ""
        return f"the JPEG is damaged: {str(warning).removeprefix('Corrupt JPEG data: ')}"
    return ""


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


def _join_profile(parts: list[bytes]) -> bytes | None:
    """Return the profile of APP2 segments: each begins with its number from 1 and the number of parts."""
    numbered = sorted(parts)
    complete = all(part[:2] == bytes((number, len(parts))) for number, part in enumerate(numbered, 1))
    return b"".join(part[2:] for part in numbered) if parts and complete and len(parts) < 256 else None
