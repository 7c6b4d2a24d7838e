"""Finds the segments of JPEG files and the chunks of PNG files, in TensorFlow operations that a SavedModel can hold.

An encoded image is a string [] here. A damaged file gives an empty result, never an error.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
APP1, APP14 = 0xFFE1, 0xFFEE  # JPEG markers; source: ITU T.81, annex B
_EOI, _SOS = 0xFFD9, 0xFFDA
_TEM, _RST0, _SOI = 0xFF01, 0xFFD0, 0xFFD8
_MAX_STEPS = 2**12  # more blocks than a photograph has; it limits the time that a file of junk takes


def is_png(image_bytes: tf.Tensor) -> tf.Tensor:
    """Return whether an encoded image is a PNG, bool []."""
    return has_at(image_bytes, 0, PNG_SIGNATURE)


def has_at(data: tf.Tensor, start: tf.Tensor | int, expected: bytes) -> tf.Tensor:
    """Return whether `expected` stands at byte `start` of a string [], bool []."""
    return part(data, start, len(expected)) == expected


def part(data: tf.Tensor, start: tf.Tensor | int, length: tf.Tensor | int) -> tf.Tensor:
    """Return the bytes [start, start + length) of a string [], or those of them that exist."""
    return tf.strings.substr(data, tf.minimum(start, tf.strings.length(data)), length)


def numbers_at(
    data: tf.Tensor, start: tf.Tensor | int, dtype: tf.DType, count: int, *, little_endian: bool = False
) -> tf.Tensor:
    """Return the `count` numbers from byte `start` of a string [] on, dtype [count]; bytes past its end count as 0."""
    length = count * dtype.size
    return tf.io.decode_raw(part(data, start, length), dtype, little_endian=little_endian, fixed_length=length)


def jpeg_segment(image_bytes: tf.Tensor, marker: int, prefix: bytes) -> tf.Tensor:
    """Return what follows `prefix` in the first JPEG segment with this marker and prefix, string []; "" if none."""

    def header(start: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        code, length = tf.unstack(tf.cast(numbers_at(image_bytes, start, tf.uint16, 2), tf.int32))
        return code, length

    def next_start(start: tf.Tensor) -> tf.Tensor:
        code, length = header(start)
        found = (code == marker) & has_at(image_bytes, start + 4, prefix)
        # Between segments, bytes other than 0xFF are junk, and 0xFF may be repeated. Some markers have no length.
        is_junk = (code < 0xFF00) | (code == 0xFFFF)
        is_short = (code <= _TEM) | ((code >= _RST0) & (code <= _SOI))
        size = tf.where(is_junk, 1, tf.where(is_short, 2, 2 + length))
        return tf.where(found | (code == _EOI) | (code == _SOS), start, start + size)

    start = _search(image_bytes, 0, next_start)
    code, length = header(start)
    content = part(image_bytes, start + 4 + len(prefix), tf.maximum(length - 2 - len(prefix), 0))
    return tf.where((code == marker) & has_at(image_bytes, start + 4, prefix), content, "")


def png_chunk(image_bytes: tf.Tensor, name: bytes, prefix: bytes = b"", *, after_pixels: bool = False) -> tf.Tensor:
    """Return what follows `prefix` in the first PNG chunk with this name and prefix, string []; "" if there is none.

    after_pixels: search the chunks behind the pixels as well, which takes longer.
    """
    wanted, pixels = int.from_bytes(name), int.from_bytes(b"IDAT")

    def header(start: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        length, kind = tf.unstack(numbers_at(image_bytes, start, tf.int32, 2))
        return length, kind

    def next_start(start: tf.Tensor) -> tf.Tensor:
        length, kind = header(start)
        stop = (kind == wanted) & has_at(image_bytes, start + 8, prefix) if prefix else kind == wanted
        stop |= length < 0  # 2 GB or more: the file is damaged
        if not after_pixels:
            stop |= kind == pixels
        size = tf.minimum(length, tf.strings.length(image_bytes)) + 12  # with the length, the name and the checksum
        return tf.where(stop, start, start + size)

    start = _search(image_bytes, len(PNG_SIGNATURE), next_start)
    length, kind = header(start)
    content = part(image_bytes, start + 8 + len(prefix), tf.maximum(length - len(prefix), 0))
    return tf.where((kind == wanted) & has_at(image_bytes, start + 8, prefix), content, "")


def _search(image_bytes: tf.Tensor, first: int, next_start: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """Follow the blocks from byte `first` on. Return where the last one starts, which is its own next one."""
    end = tf.strings.length(image_bytes)
    start, _ = tf.while_loop(
        lambda start, before: (start != before) & (start < end),
        lambda start, _: (next_start(start), start),
        (tf.constant(first), tf.constant(-1)),
        maximum_iterations=_MAX_STEPS,
        parallel_iterations=1,
    )
    return start
