"""From an encoded or decoded image to a net's input, as evaluation, prediction and export do it."""

from __future__ import annotations

import tensorflow as tf

from mnasnet_cli.config.pre_postprocessing import Preprocessing
from mnasnet_cli.data import augment


def crop_window(shape: tf.Tensor, options: Preprocessing) -> tf.Tensor:
    """Return the part of an image that the net sees: int32 [4] as (y, x, height, width), px.

    shape: int32 [2] or [3], the image's height and width first.
    """
    if options.crop_fraction is None:
        return augment.whole_window(shape)
    return augment.central_crop_window(shape, options.crop_fraction, options.stretch)


def decode_window(image_bytes: tf.Tensor, window: tf.Tensor, options: Preprocessing) -> tf.Tensor:
    """Decode the window of a JPEG or PNG (string []) and resize it: float32 [S, S, 3] in [0, 255]."""
    return augment.decode_crop_resize(image_bytes, window, options.image_size, options.antialias, options.interpolation)


def decode_image(image_bytes: tf.Tensor, options: Preprocessing) -> tf.Tensor:
    """Decode, crop and resize a JPEG or PNG (string []): float32 [S, S, 3] in [0, 255]."""
    return decode_window(image_bytes, crop_window(augment.image_shape(image_bytes), options), options)


def normalize(images: tf.Tensor, options: Preprocessing) -> tf.Tensor:
    """Turn pixels in [0, 255], float32 […, 3], into the net's input: (pixel - mean) / deviation for each colour."""
    return (images - tf.constant(options.mean)) / tf.constant(options.deviation)


def preprocess_bytes(image_bytes: tf.Tensor, options: Preprocessing) -> tf.Tensor:
    """Turn one encoded JPEG or PNG, string [], into the net's input: float32 [S, S, 3]."""
    return normalize(decode_image(image_bytes, options), options)


def compiled_preprocess(options: Preprocessing) -> tf.types.experimental.PolymorphicFunction:
    """Return `preprocess_bytes` as a compiled function of the encoded image, string []."""
    return tf.function(
        lambda image: preprocess_bytes(image, options),
        input_signature=[tf.TensorSpec([], tf.string)],
        autograph=False,
    )


def preprocess_encoded(image_bytes: tf.Tensor, options: Preprocessing) -> tf.Tensor:
    """Turn encoded images, string [N], into the net's input: float32 [N, S, S, 3]."""
    size = options.image_size
    return tf.map_fn(
        lambda image: preprocess_bytes(image, options),
        image_bytes,
        fn_output_signature=tf.TensorSpec([size, size, 3], tf.float32),
    )


def preprocess_uint8(images: tf.Tensor, options: Preprocessing) -> tf.Tensor:
    """Turn decoded images of one size, uint8 [N, H, W, 3], into the net's input: float32 [N, S, S, 3].

    The result equals that for a PNG of these pixels. A large JPEG differs: it is decoded at half its scale.
    """
    size = options.image_size
    if options.crop_fraction is not None:
        window = crop_window(tf.shape(images)[1:], options)
        images = tf.slice(images, [0, window[0], window[1], 0], [-1, window[2], window[3], 3])
    images = augment.resize(images, size, options.antialias, options.interpolation)
    return normalize(tf.ensure_shape(images, [None, size, size, 3]), options)
