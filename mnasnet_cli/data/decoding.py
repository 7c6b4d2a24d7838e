"""Decodes image files to RGB pixels, in TensorFlow operations that a SavedModel can hold.

The pixels are those of the picture that `records.plain_image` defines, except that ICC profiles are not applied.
Windows are int32 [4]: y, x, height and width, in px of the stored image.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from mnasnet_cli.data.image_blocks import APP14, has_at, is_png, jpeg_segment, numbers_at, part, png_chunk

# libjpeg's inverse transform "islow", which Pillow uses, too. TensorFlow's default is "ifast".
_ACCURATE = "INTEGER_ACCURATE"
# A segment of Adobe that says CMYK. Pillow takes the colours of all CMYK JPEGs as Adobe inverts them, TensorFlow only
# those with such a segment.
_ADOBE_CMYK = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0"
# PNG, section 11.2.1: the header's bytes from 16 on are width, height (4 bytes each), bits and kind of colour.
_PNG_SIDES, _PNG_BITS = 16, 24
_GRAY, _GRAY_ALPHA, _RGB_ALPHA = 0, 4, 6

# Makes a function of an encoded image one operation of the graphs that call it. If TensorFlow inlined the rare
# branches, it would visit each of their operations for every JPEG as well, which took 0.3 ms an image.
_one_operation = tf.function(
    autograph=False, input_signature=[tf.TensorSpec([], tf.string)], experimental_attributes={"_noinline": True}
)


def image_shape(image_bytes: tf.Tensor) -> tf.Tensor:
    """Return height, width and channels, int32 [3], of an encoded image; a JPEG or PNG is not decoded for that."""
    return tf.cond(
        tf.io.is_jpeg(image_bytes),
        lambda: tf.io.extract_jpeg_shape(image_bytes),
        lambda: _shape_of_other(image_bytes),
    )


def decode_whole(image_bytes: tf.Tensor) -> tf.Tensor:
    """Decode an encoded image, string [], as `decode_accurate` does: uint8 [H, W, 3]."""
    return decode_accurate(image_bytes, tf.concat([[0, 0], image_shape(image_bytes)[:2]], 0))


def decode_accurate(image_bytes: tf.Tensor, window: tf.Tensor) -> tf.Tensor:
    """Decode a window of an encoded image in full size and to the pixels that Pillow gives: uint8 [h, w, 3].

    Transparent images lie on white. An orientation is not applied. Pixels of CMYK images differ from Pillow's by 1.
    """

    def jpeg() -> tf.Tensor:
        shape = tf.io.extract_jpeg_shape(image_bytes)
        # A subsampled colour is interpolated from its neighbours, so they are decoded as well.
        left = tf.maximum(window[1] - 1, 0)
        right = tf.minimum(window[1] + window[3] + 1, shape[1])
        wider = tf.stack([window[0], left, window[2], right - left])
        encoded = tf.cond(shape[2] == 4, lambda: _with_adobe_segment(image_bytes), lambda: image_bytes)
        pixels = tf.image.decode_and_crop_jpeg(encoded, wider, channels=3, dct_method=_ACCURATE)
        return tf.slice(pixels, [0, window[1] - left, 0], [-1, window[3], 3])

    return _decode_window(image_bytes, window, jpeg)


def decode_fast(image_bytes: tf.Tensor, window: tf.Tensor, size: int | None) -> tf.Tensor:
    """Decode a window of an encoded image for a resize to size × size: uint8 [h, w, 3].

    A JPEG window of at least twice the size is decoded at half its scale, one of four times the size at a quarter. That
    is faster, and it smooths the image before bilinear sampling skips pixels.

    Args:
      size: None: decode in full size.
    """

    def scaled(ratio: int) -> tf.Tensor:
        # Rounded down, so that the scaled window lies inside the scaled image: libjpeg rounds its sides up.
        return tf.image.decode_and_crop_jpeg(image_bytes, window // ratio, channels=3, ratio=ratio)

    def jpeg() -> tf.Tensor:
        if size is None:
            return scaled(1)
        least = tf.minimum(window[2], window[3])
        return tf.cond(
            least >= 4 * size,
            lambda: scaled(4),
            lambda: tf.cond(least >= 2 * size, lambda: scaled(2), lambda: scaled(1)),
        )

    return _decode_window(image_bytes, window, jpeg)


def _decode_window(image_bytes: tf.Tensor, window: tf.Tensor, jpeg: Callable[[], tf.Tensor]) -> tf.Tensor:
    """Decode a JPEG with `jpeg`, and any other image as a whole."""

    def other() -> tf.Tensor:
        return tf.slice(_decode_other(image_bytes), [window[0], window[1], 0], [window[2], window[3], 3])

    return tf.cond(tf.io.is_jpeg(image_bytes), jpeg, other)


@_one_operation
def _shape_of_other(image_bytes: tf.Tensor) -> tf.Tensor:
    def of_png() -> tf.Tensor:
        return tf.concat([tf.reverse(numbers_at(image_bytes, _PNG_SIDES, tf.int32, 2), [0]), [3]], 0)

    return tf.cond(is_png(image_bytes), of_png, lambda: tf.shape(_decode_other(image_bytes)))


@_one_operation
def _decode_other(image_bytes: tf.Tensor) -> tf.Tensor:
    """Decode an image that is no JPEG: uint8 [H, W, 3]."""
    return tf.cond(is_png(image_bytes), lambda: _decode_png(image_bytes), lambda: _decode_rare(image_bytes))


@_one_operation
def _with_adobe_segment(image_bytes: tf.Tensor) -> tf.Tensor:
    segment = tf.where(jpeg_segment(image_bytes, APP14, b"Adobe") == "", _ADOBE_CMYK, b"")
    return tf.strings.join([part(image_bytes, 0, 2), segment, part(image_bytes, 2, tf.strings.length(image_bytes))])


def _decode_png(image_bytes: tf.Tensor) -> tf.Tensor:
    bits, kind = tf.unstack(numbers_at(image_bytes, _PNG_BITS, tf.uint8, 2))
    is_deep_gray = (bits == 16) & (kind == _GRAY)
    has_color_key = tf.strings.length(png_chunk(image_bytes, b"tRNS")) > 0

    def opaque() -> tf.Tensor:
        return tf.cond(
            is_deep_gray, lambda: _decode_deep_gray(image_bytes), lambda: tf.io.decode_png(image_bytes, channels=3)
        )

    def transparent() -> tf.Tensor:
        rgba = tf.io.decode_png(image_bytes, channels=4)
        colors = tf.cond(is_deep_gray, lambda: _decode_deep_gray(image_bytes), lambda: rgba[..., :3])
        return _on_white(colors, rgba[..., 3:])

    return tf.cond(has_color_key | (kind == _GRAY_ALPHA) | (kind == _RGB_ALPHA), transparent, opaque)


def _decode_deep_gray(image_bytes: tf.Tensor) -> tf.Tensor:
    """Decode a PNG of 16-bit gray: uint8 [H, W, 3]. Values are shifted right, so that 2^n - 1 becomes 255.

    n is sBIT if this is 9..15 and no pixel is larger, else the smallest of 8, 10, 12, 14 and 16 that fits.
    """
    gray = tf.cast(tf.io.decode_png(image_bytes, channels=1, dtype=tf.uint16), tf.int32)
    largest = tf.reduce_max(gray)
    told = tf.cast(numbers_at(png_chunk(image_bytes, b"sBIT"), 0, tf.uint8, 1)[0], tf.int32)
    is_told = (told >= 9) & (told <= 15) & (largest < tf.bitwise.left_shift(1, told))
    smallest = 8 + 2 * tf.reduce_sum(tf.cast(largest >= tf.constant([2**8, 2**10, 2**12, 2**14]), tf.int32))
    shift = tf.where(is_told, told, smallest) - 8
    return tf.repeat(tf.cast(tf.bitwise.right_shift(gray, shift), tf.uint8), 3, axis=-1)


def _decode_rare(image_bytes: tf.Tensor) -> tf.Tensor:
    """Decode a GIF (its first frame), BMP or WebP."""

    def webp() -> tf.Tensor:
        image = tf.io.decode_image(image_bytes, expand_animations=False)
        return tf.cond(tf.shape(image)[2] == 4, lambda: _on_white(image[..., :3], image[..., 3:]), lambda: image)

    return tf.cond(
        has_at(image_bytes, 8, b"WEBP"),
        webp,
        lambda: tf.io.decode_image(image_bytes, channels=3, expand_animations=False),
    )


def _on_white(colors: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
    """Lay pixels, uint8 [H, W, 3], on white by their opacity, uint8 [H, W, 1], with Pillow's rounding."""
    colors, alpha = tf.cast(colors, tf.uint16), tf.cast(alpha, tf.uint16)
    sum_times_255 = colors * alpha + 255 * (255 - alpha) + 128  # at most 65,153, so uint16 holds it
    return tf.cast((sum_times_255 + sum_times_255 // 256) // 256, tf.uint8)
