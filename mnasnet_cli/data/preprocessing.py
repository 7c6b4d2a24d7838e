"""From an encoded or decoded image to a net's input, as evaluation, prediction and export do it."""

from __future__ import annotations

import tensorflow as tf

from mnasnet_cli.config.pre_postprocessing import Preprocessing
from mnasnet_cli.data import augment
from mnasnet_cli.data.decoding import decode_accurate, decode_fast, image_shape
from mnasnet_cli.data.orientation import exif_orientation, stored_window, turn_upright, upright_shape


def crop_window(shape: tf.Tensor, options: Preprocessing) -> tf.Tensor:
    """Return the part of an image that the net sees: int32 [4] as (y, x, height, width), px.

    shape: int32 [2] or [3], the image's height and width first.
    """
    if options.crop_fraction is None:
        return augment.whole_window(shape)
    return augment.central_crop_window(shape, options.crop_fraction, options.stretch)


def decode_window(image_bytes: tf.Tensor, window: tf.Tensor, options: Preprocessing) -> tf.Tensor:
    """Decode the window of an encoded image (string []) and resize it: float32 [S, S, 3] in [0, 255]."""
    return _resize(_decode(image_bytes, window, options), options)


def decode_image(image_bytes: tf.Tensor, options: Preprocessing) -> tf.Tensor:
    """Decode, crop and resize an image of a record (string []) as it is stored: float32 [S, S, 3] in [0, 255]."""
    return decode_window(image_bytes, crop_window(image_shape(image_bytes), options), options)


def decode_upright(image_bytes: tf.Tensor, options: Preprocessing) -> tf.Tensor:
    """Decode, crop and resize an image file (string []), upright by its EXIF data: float32 [S, S, 3] in [0, 255]."""
    shape, orientation = image_shape(image_bytes), exif_orientation(image_bytes)
    window = stored_window(crop_window(upright_shape(shape, orientation), options), shape, orientation)
    return _resize(turn_upright(_decode(image_bytes, window, options), orientation), options)


def _decode(image_bytes: tf.Tensor, window: tf.Tensor, options: Preprocessing) -> tf.Tensor:
    """Decode a window: uint8 [h, w, 3]."""
    if options.decode == "accurate":
        return decode_accurate(image_bytes, window)
    return decode_fast(image_bytes, window, None if options.interpolation == "tf1-bilinear" else options.image_size)


def _resize(image: tf.Tensor, options: Preprocessing) -> tf.Tensor:
    size = options.image_size
    resized = augment.resize(image, size, options.antialias, options.interpolation)
    return tf.ensure_shape(resized, [size, size, 3])


def normalize(images: tf.Tensor, options: Preprocessing) -> tf.Tensor:
    """Turn pixels in [0, 255], float32 […, 3], into the net's input: (pixel - mean) / deviation for each colour."""
    return (images - tf.constant(options.mean)) / tf.constant(options.deviation)


def preprocess_bytes(image_bytes: tf.Tensor, options: Preprocessing) -> tf.Tensor:
    """Turn one image of a record, string [], into the net's input: float32 [S, S, 3]."""
    return normalize(decode_image(image_bytes, options), options)


def compiled_preprocess(options: Preprocessing) -> tf.types.experimental.PolymorphicFunction:
    """Return `preprocess_bytes` as a compiled function of the encoded image, string []."""
    return tf.function(
        lambda image: preprocess_bytes(image, options),
        input_signature=[tf.TensorSpec([], tf.string)],
        autograph=False,
    )


def preprocess_encoded(image_bytes: tf.Tensor, options: Preprocessing) -> tf.Tensor:
    """Turn image files, string [N], upright by their EXIF data, into the net's input: float32 [N, S, S, 3]."""
    size = options.image_size
    # AutoGraph would take seconds, and there is nothing to convert.
    decode = tf.autograph.experimental.do_not_convert(lambda image: normalize(decode_upright(image, options), options))
    return tf.map_fn(decode, image_bytes, fn_output_signature=tf.TensorSpec([size, size, 3], tf.float32))


def preprocess_crops(images: tf.Tensor, options: Preprocessing) -> tf.Tensor:
    """Turn images that are cropped already, [N, H, W, 3] in [0, 255], into the net's input: float32 [N, S, S, 3]."""
    size = options.image_size
    images = augment.resize(images, size, options.antialias, options.interpolation)
    return normalize(tf.ensure_shape(images, [None, size, size, 3]), options)


def preprocess_uint8(images: tf.Tensor, options: Preprocessing) -> tf.Tensor:
    """Turn decoded images of one size, uint8 [N, H, W, 3], into the net's input: float32 [N, S, S, 3].

    The result equals that for a PNG of these pixels.
    """
    if options.crop_fraction is not None:
        window = crop_window(tf.shape(images)[1:], options)
        images = tf.slice(images, [0, window[0], window[1], 0], [-1, window[2], window[3], 3])
    return preprocess_crops(images, options)
