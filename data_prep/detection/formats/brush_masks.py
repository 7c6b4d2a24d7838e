"""The run-length encoding in which Label Studio stores brush masks: a stream of bits.

    32 bits: number of values · 5: bits of a value - 1 · 4 × 4: bits of a length - 1, for each of the four kinds
    then: 1 bit: a run? · 2: kind of the length · the length - 1 · the value of a run, or as many values

The values are the RGBA bytes of the image. Source: Label Studio, and its packer @thi.ng/rle-pack.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from data_prep.detection.formats.bounds import Box

_CHANNELS, _ALPHA = 4, 3


def brush_extent(encoded: Any, width: int, height: int) -> Box | None:
    """Return the box around the pixels that a brush mask sets, an empty one if there are none. None: it is damaged."""
    if not isinstance(encoded, list) or not all(isinstance(one, int) and 0 <= one < 256 for one in encoded):
        return None
    values = _decode(bytes(encoded), width * height * _CHANNELS)
    if values is None:
        return None
    is_set = values.reshape(height, width, _CHANNELS)[:, :, _ALPHA] > 0
    rows, columns = np.flatnonzero(is_set.any(1)), np.flatnonzero(is_set.any(0))
    if not len(rows):
        return 0.0, 0.0, 0.0, 0.0
    left, top = float(columns[0]), float(rows[0])
    return left, top, columns[-1] + 1 - left, rows[-1] + 1 - top


def _decode(data: bytes, expected: int) -> np.ndarray | None:
    """Return the values, None if there are not as many as expected."""
    bits = _Bits(data)
    try:
        if bits.read(32) != expected:
            return None
        value_bits = bits.read(5) + 1
        length_bits = [bits.read(4) + 1 for _ in range(4)]
        values = np.zeros(expected, np.uint8)
        start = 0
        while start < expected:
            is_run = bits.read(1)
            end = start + bits.read(length_bits[bits.read(2)]) + 1
            if is_run:
                values[start:end] = bits.read(value_bits) & 0xFF
            else:
                for place in range(start, min(end, expected)):
                    values[place] = bits.read(value_bits) & 0xFF
            start = end
    except EOFError:
        return None
    return values


class _Bits:
    """Reads numbers of any number of bits, the highest bit first."""

    def __init__(self, data: bytes) -> None:
        self._data, self._position = data, 0

    def read(self, count: int) -> int:
        """Return the next `count` bits, at most 32. Raises EOFError."""
        first, last = self._position // 8, (self._position + count + 7) // 8
        if last > len(self._data):
            raise EOFError
        self._position += count
        window = int.from_bytes(self._data[first:last], "big")
        return window >> (last * 8 - self._position) & ((1 << count) - 1)
