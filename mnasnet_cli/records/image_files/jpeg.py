"""Reads the header of a JPEG without decoding it, and tells whether TensorFlow is sure to decode the file.

Source: ITU T.81, annex B, and the checks of libjpeg. Files that differ from what cameras and encoders write are left to
Pillow, which is more forgiving.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from mnasnet_cli.records.image_files.header import MAX_PIXELS, BadImage, ImageHeader
from mnasnet_cli.records.image_files.opening import load_image
from mnasnet_cli.records.orientation import EXIF_HEADER, UPRIGHT, exif_orientation

_MARKER = re.compile(rb"\xff+[^\x00\xff]")
_MARKER_IN_DATA = re.compile(rb"\xff[^\x00]")  # a pattern without restart markers would take six times as long
_SOI, _EOI, _SOS, _DHT, _DQT, _DRI, _APP1, _APP2 = 0xD8, 0xD9, 0xDA, 0xC4, 0xDB, 0xDD, 0xE1, 0xE2
_RESTARTS = range(0xD0, 0xD8)
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = 0xC2
_DECODED_FRAMES = (0xC0, 0xC1, _PROGRESSIVE)  # baseline, extended and progressive, with Huffman codes
_IGNORED = frozenset((*range(0xE0, 0xF0), 0xFE))  # APPn and comments
_ICC_HEADER = b"ICC_PROFILE\0"
_MAX_SIDE = 65_500  # libjpeg's
_MAX_BLOCKS = 10  # in an MCU
_LEFT_OVER = re.compile(r"(\d+) extraneous bytes before marker 0xd9")  # before the end of the image
_MAX_LEFT_OVER = 64  # some cameras write a few; more are a sign of damage
_LAYOUTS_KEPT = 512  # most files have the tables of the same encoder


def read_jpeg_header(data: bytes) -> ImageHeader:
    """Return the header of a JPEG. It has a profile if this is complete.

    The compressed data is searched for its end, but not decoded. Raises BadImage if the file is cut off or damaged, or
    is of a kind that no decoder supports.
    """
    position, size = 2, len(data)
    exif: bytes | None = None
    profiles, sides = [], b""
    segments = []  # each begins with its marker
    while True:
        match = _MARKER.match(data, position)
        if match is None:
            raise BadImage("the JPEG is cut off" if position >= size - 1 else f"no JPEG marker at byte {position}")
        marker, position = data[match.end() - 1], match.end()
        if marker == _EOI:
            break
        if position + 2 > size:
            raise BadImage("the JPEG is cut off")
        end = position + (data[position] << 8 | data[position + 1])
        if end < position + 2 or end > size:
            raise BadImage("the JPEG is cut off")
        if marker in _IGNORED:
            if marker == _APP1 and exif is None and data.startswith(EXIF_HEADER, position + 2):
                exif = data[position + 2 : end]
            elif marker == _APP2 and data.startswith(_ICC_HEADER, position + 2):
                profiles.append(data[position + 14 : end])
        elif marker in _FRAMES:
            sides = data[position + 3 : position + 7]
            segments.append(
                data[position - 1 : position] + data[position + 2 : position + 3] + data[position + 7 : end]
            )
        else:
            segments.append(data[position - 1 : position] + data[position + 2 : end])
        position = end
        if marker == _SOS:  # the compressed data follows
            exif = exif or b""
            position = _end_of_data(data, position)
    frame, in_order = _check_segments(tuple(segments))
    if frame is None or len(sides) < 4:
        raise BadImage("the JPEG contains no image")
    height, width = sides[0] << 8 | sides[1], sides[2] << 8 | sides[3]
    if not height or not width:
        raise BadImage(f"the JPEG header says {width}×{height} px")
    if frame.bits != 8 or frame.components not in (1, 3, 4) or frame.marker & 3 == 3:
        raise BadImage(
            f"decoders do not support this kind of JPEG ({frame.bits} bits, {frame.components} components,"
            f" frame 0x{frame.marker:02x})"
        )
    return ImageHeader(
        "JPEG", height, width, frame.components,
        orientation=exif_orientation(exif) if exif else UPRIGHT,
        profile=_join_profile(profiles) if profiles else None,
        ordinary=in_order and max(height, width) <= _MAX_SIDE and height * width <= MAX_PIXELS,
    )  # fmt: skip


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


class _Frame(NamedTuple):
    """A frame header without the sides of the image: the marker, the precision in bits, and the number of components.

    tables: component → its quantization table; empty if the header is not in order.
    """

    marker: int
    bits: int
    components: int
    tables: dict[int, int]


@lru_cache(maxsize=_LAYOUTS_KEPT)
def _check_segments(segments: tuple[bytes, ...]) -> tuple[_Frame | None, bool]:
    """Return the frame of a JPEG that has a scan, and whether TensorFlow is sure to decode it.

    segments: those that decoding depends on, each after its marker; the frame header without the sides of the image.
    """
    structure = _Structure()
    for segment in segments:
        structure.add(segment[0], segment[1:])
    return structure.frame if structure.scans else None, structure.is_in_order()


class _Structure:
    """The segments of a JPEG that decoding depends on."""

    def __init__(self) -> None:
        self.frame: _Frame | None = None
        self.scans = 0
        self._in_order = True
        self._quantization: set[int] = set()
        self._huffman: set[int] = set()  # 16 · class + number
        self._shown: set[int] = set()  # components of which a scan was read

    def add(self, marker: int, body: bytes) -> None:
        """Take a segment into account."""
        if marker == _DHT:
            self._add_tables(self._huffman, _huffman_tables(body))
        elif marker == _DQT:
            self._add_tables(self._quantization, _quantization_tables(body))
        elif marker == _SOS:
            self._add_scan(body)
        elif marker in _FRAMES and len(body) >= 2:
            self._in_order &= self.frame is None
            self.frame = _read_frame(marker, body)
        elif marker != _DRI or len(body) != 2:
            self._in_order = False

    def _add_tables(self, known: set[int], tables: frozenset[int]) -> None:
        self._in_order &= bool(tables)
        known |= tables

    def _add_scan(self, body: bytes) -> None:
        self.scans += 1
        frame = self.frame
        scan = _read_scan(body, frame.marker == _PROGRESSIVE) if frame else None
        if frame is None or scan is None or not frame.tables.keys() >= set(scan.components):
            self._in_order = False
            return
        tables = {frame.tables[component] for component in scan.components}
        # Each component appears first in a scan of its DC coefficients. Unless refined, that is the only one.
        shown = self._shown.issuperset(scan.components)
        fits = self._shown.isdisjoint(scan.components) if scan.first else shown
        self._in_order &= tables <= self._quantization and scan.huffman <= self._huffman and fits
        self._shown.update(scan.components)

    def is_in_order(self) -> bool:
        """Tell whether TensorFlow is sure to decode the image. It decodes no CMYK."""
        frame = self.frame
        return (
            self._in_order
            and frame is not None
            and frame.marker in _DECODED_FRAMES
            and frame.components in (1, 3)
            and len(self._shown) == frame.components
        )


def _read_frame(marker: int, body: bytes) -> _Frame:
    components = [tuple(body[start : start + 3]) for start in range(2, len(body), 3)]
    header = marker, body[0], body[1]
    if not components or len(components) != body[1] or len(components[-1]) != 3:
        return _Frame(*header, {})
    sides = [(sampling >> 4, sampling & 15) for _, sampling, _ in components]
    if not all(1 <= side <= 4 for pair in sides for side in pair):
        return _Frame(*header, {})
    widest, highest = (max(side[axis] for side in sides) for axis in (0, 1))
    whole = all(widest % across == 0 and highest % down == 0 for across, down in sides)
    if not whole or sum(across * down for across, down in sides) > _MAX_BLOCKS:
        return _Frame(*header, {})
    return _Frame(*header, {component: table for component, _, table in components})


def _quantization_tables(body: bytes) -> frozenset[int]:
    """Return the numbers of the tables in a DQT segment, none if it is not in order."""
    numbers, position = set(), 0
    while position < len(body):
        wide, number = divmod(body[position], 16)
        length = 1 + 64 * (1 + wide)
        if wide > 1 or number > 3 or position + length > len(body) or 0 in _table_values(body, position, wide):
            return frozenset()
        numbers.add(number)
        position += length
    return frozenset(numbers)


def _table_values(body: bytes, position: int, wide: int) -> list[int]:
    values = body[position + 1 : position + 1 + 64 * (1 + wide)]
    return [high << 8 | low for high, low in zip(values[::2], values[1::2], strict=True)] if wide else list(values)


def _huffman_tables(body: bytes) -> frozenset[int]:
    """Return 16 · class + number of the tables in a DHT segment, none if it is not in order."""
    tables, position = set(), 0
    while position < len(body):
        name, counts = body[position], body[position + 1 : position + 17]
        symbols = body[position + 17 : position + 17 + sum(counts)]
        if name >> 4 > 1 or name & 15 > 3 or len(counts) < 16 or len(symbols) < sum(counts) or not symbols:
            return frozenset()
        code = 0
        for length, count in enumerate(counts, 1):
            code += count
            if code > 1 << length:
                return frozenset()
            code <<= 1
        if len(symbols) > 256 or (name < 16 and max(symbols) > 15):
            return frozenset()
        tables.add(name)
        position += 17 + len(symbols)
    return frozenset(tables)


class _Scan(NamedTuple):
    """A scan header. huffman: the tables that it needs, as 16 · class + number. first: whether it is the first scan of
    its components."""

    components: tuple[int, ...]
    huffman: frozenset[int]
    first: bool


def _read_scan(body: bytes, progressive: bool) -> _Scan | None:
    """Return a scan header, None if it is not in order."""
    count = body[0] if body else 0
    if not 1 <= count <= 4 or len(body) != 4 + 2 * count:
        return None
    components, selectors = body[1:-3:2], body[2:-3:2]
    start, end, approximation = body[-3:]
    high, low = approximation >> 4, approximation & 15
    if not progressive:
        if (start, end, approximation) != (0, 63, 0):
            return None
        huffman = {selector >> 4 for selector in selectors} | {16 + (selector & 15) for selector in selectors}
        return _Scan(tuple(components), frozenset(huffman), True)
    if (high and low != high - 1) or low > 13:
        return None
    if start == 0:
        huffman = set() if high else {selector >> 4 for selector in selectors}
        return _Scan(tuple(components), frozenset(huffman), not high) if end == 0 else None
    if count > 1 or not start <= end <= 63:
        return None
    return _Scan(tuple(components), frozenset(16 + (selector & 15) for selector in selectors), False)
