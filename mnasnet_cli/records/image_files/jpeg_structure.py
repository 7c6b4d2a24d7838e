"""The segments of a JPEG that decoding depends on, and whether they are in order.

Source: ITU T.81, annex B, and the checks of libjpeg.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

SOS = 0xDA  # start of a scan: the compressed data follows
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_DHT, _DQT, _DRI = 0xC4, 0xDB, 0xDD
_PROGRESSIVE = 0xC2
_DECODED_FRAMES = (0xC0, 0xC1, _PROGRESSIVE)  # baseline, extended and progressive, with Huffman codes
_MAX_BLOCKS = 10  # in an MCU
_LAYOUTS_KEPT = 512  # most files have the tables of the same encoder


class Frame(NamedTuple):
    """A frame header without the sides of the image: the marker, the precision in bits, and the number of components.

    tables: component → its quantization table; empty if the header is not in order.
    """

    marker: int
    bits: int
    components: int
    tables: dict[int, int]


@lru_cache(maxsize=_LAYOUTS_KEPT)
def check_segments(segments: tuple[bytes, ...]) -> tuple[Frame | None, bool]:
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
        self.frame: Frame | None = None
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
        elif marker == SOS:
            self._add_scan(body)
        elif marker in FRAMES and len(body) >= 2:
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
        if (
            frame is None
            or scan is None
            or scan.components != tuple(component for component in frame.tables if component in scan.components)
        ):  # each component once, in the order of the frame
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


def _read_frame(marker: int, body: bytes) -> Frame:
    components = [tuple(body[start : start + 3]) for start in range(2, len(body), 3)]
    header = marker, body[0], body[1]
    if not components or len(components) != body[1] or len(components[-1]) != 3:
        return Frame(*header, {})
    sides = [(sampling >> 4, sampling & 15) for _, sampling, _ in components]
    if not all(1 <= side <= 4 for pair in sides for side in pair):
        return Frame(*header, {})
    widest, highest = (max(side[axis] for side in sides) for axis in (0, 1))
    whole = all(widest % across == 0 and highest % down == 0 for across, down in sides)
    if not whole or sum(across * down for across, down in sides) > _MAX_BLOCKS:
        return Frame(*header, {})
    return Frame(*header, {component: table for component, _, table in components})


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
    components, selectors = body[1:-3:2], body[2:-3:2]
    if not 1 <= count <= 4 or len(body) != 4 + 2 * count:
        return None
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
