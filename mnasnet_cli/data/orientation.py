"""Reads the EXIF orientation of an encoded image and turns its pixels, in operations that a SavedModel can hold.

The rules are those of `records.orientation`, which reads files for records and predictions.
"""

from __future__ import annotations

import tensorflow as tf

from mnasnet_cli.data.image_blocks import APP1, has_at, is_png, jpeg_segment, numbers_at, part, png_chunk
from mnasnet_cli.records.orientation import EXIF_HEADER, ORIENTATION_TAG, UPRIGHT

_LITTLE_ENDIAN, _BIG_ENDIAN = b"II*\0", b"MM\0*"  # EXIF data is a TIFF file; TIFF 6.0, section 2
_SHORT = 3  # a type
_ENTRY_BYTES = 12

# The eight orientations as mirrorings of the stored rows and columns, and a swap of both at the end.
_MIRRORED_ROWS, _MIRRORED_COLUMNS, _SWAPPED = (3, 4, 6, 7), (2, 3, 7, 8), (5, 6, 7, 8)


def exif_orientation(image_bytes: tf.Tensor) -> tf.Tensor:
    """Return the orientation of an encoded image, string []: int32 [] in 1..8.

    It is 1 (upright) if the file is no JPEG or PNG, if it holds no orientation, or if the data is damaged.
    """

    def of_png() -> tf.Tensor:
        exif = png_chunk(image_bytes, b"eXIf", after_pixels=True)
        return _in_exif(tf.where(has_at(exif, 0, EXIF_HEADER), part(exif, len(EXIF_HEADER), _size(exif)), exif))

    return tf.cond(
        tf.io.is_jpeg(image_bytes),
        lambda: _in_exif(jpeg_segment(image_bytes, APP1, EXIF_HEADER)),
        lambda: tf.cond(is_png(image_bytes), of_png, lambda: tf.constant(UPRIGHT)),
    )


def upright_shape(shape: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Return height and width, int32 [2], of the upright image; `shape`, [2] or [3], is that of the stored one."""
    return tf.where(_is_in(orientation, _SWAPPED), tf.reverse(shape[:2], [0]), shape[:2])


def stored_window(window: tf.Tensor, shape: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Return the window of the stored image of `shape`, [2] or [3], that shows `window` of the upright one.

    Windows are int32 [4]: y, x, height, width.
    """
    window = tf.where(_is_in(orientation, _SWAPPED), tf.gather(window, [1, 0, 3, 2]), window)
    begin, size = window[:2], window[2:]
    mirrored = tf.stack([_is_in(orientation, _MIRRORED_ROWS), _is_in(orientation, _MIRRORED_COLUMNS)])
    return tf.concat([tf.where(mirrored, shape[:2] - begin - size, begin), size], 0)


def turn_upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turn and mirror an image [H, W, C] as its orientation says: [H, W, C] or [W, H, C]."""

    def turned() -> tf.Tensor:
        mirrored = tf.stack([_is_in(orientation, _MIRRORED_ROWS), _is_in(orientation, _MIRRORED_COLUMNS), False])
        turned = tf.raw_ops.Reverse(tensor=image, dims=mirrored)
        return tf.cond(_is_in(orientation, _SWAPPED), lambda: tf.transpose(turned, [1, 0, 2]), lambda: turned)

    return tf.cond(orientation == UPRIGHT, lambda: image, turned)


def _is_in(orientation: tf.Tensor, members: tuple[int, ...]) -> tf.Tensor:
    return tf.reduce_any(orientation == tf.constant(members))


def _in_exif(exif: tf.Tensor) -> tf.Tensor:
    """Return the orientation in EXIF data without its header, string []: int32 [] in 1..8."""

    def with_order(*, little_endian: bool) -> tf.Tensor:
        return _in_directory(exif, little_endian=little_endian)

    return tf.cond(
        has_at(exif, 0, _LITTLE_ENDIAN),
        lambda: with_order(little_endian=True),
        lambda: tf.cond(
            has_at(exif, 0, _BIG_ENDIAN), lambda: with_order(little_endian=False), lambda: tf.constant(UPRIGHT)
        ),
    )


def _in_directory(tiff: tf.Tensor, *, little_endian: bool) -> tf.Tensor:
    """Return the orientation in the first directory of a TIFF file, string []: int32 [] in 1..8."""
    size = _size(tiff)
    start = numbers_at(tiff, 4, tf.int32, 1, little_endian=little_endian)[0]
    start = tf.where((start < 0) | (start > size), size, start)
    count = tf.cast(numbers_at(tiff, start, tf.uint16, 1, little_endian=little_endian)[0], tf.int32)
    count = tf.minimum(count, tf.maximum(size - start - 2, 0) // _ENTRY_BYTES)
    entries = part(tiff, start + 2, count * _ENTRY_BYTES)
    # An entry is a tag and a type of 2 bytes each, a count of 4 bytes, and 4 bytes that begin with the value.
    shorts = tf.reshape(tf.cast(tf.io.decode_raw(entries, tf.uint16, little_endian=little_endian), tf.int32), [-1, 6])
    counts = tf.reshape(tf.io.decode_raw(entries, tf.int32, little_endian=little_endian), [-1, 3])[:, 1]
    matches = (shorts[:, 0] == ORIENTATION_TAG) & (shorts[:, 1] == _SHORT) & (counts == 1)
    value = tf.concat([tf.boolean_mask(shorts[:, 4], matches), [UPRIGHT]], 0)[0]
    return tf.where((value >= 1) & (value <= 8), value, UPRIGHT)


def _size(data: tf.Tensor) -> tf.Tensor:
    return tf.strings.length(data)
