"""From an encoded or decoded image to a net's input, as evaluation, prediction and export do it."""

from __future__ import annotations

import tensorflow as tf

from mnasnet_cli.config.model_io import Preprocessing
from mnasnet_cli.data import augment, box_augment


def eval_image(
    image_bytes: tf.Tensor,
    size: int,
    crop_fraction: float,
    antialias: bool = False,
    interpolation: str = "bilinear",
    stretch: bool = False,
) -> tf.Tensor:
    """An encoded image as evaluation sees it: the central crop, [size, size, 3] float32 in [0, 255]."""
    window = augment.central_crop_window(augment.image_shape(image_bytes), crop_fraction, stretch)
    return augment.decode_crop_resize(image_bytes, window, size, antialias, interpolation)


def preprocess_bytes(image_bytes: tf.Tensor, options: Preprocessing) -> tf.Tensor:
    """One encoded JPEG or PNG, string [], as the net's input: float32 [S, S, 3]."""
    size = options.image_size
    if options.crop_fraction is None:
        window = box_augment.whole_window(augment.image_shape(image_bytes))
        image = box_augment.decode_window(image_bytes, window, size, options.antialias, options.interpolation)
    else:
        image = eval_image(
            image_bytes, size, options.crop_fraction, options.antialias, options.interpolation, options.stretch
        )
    return augment.normalize(image, options.mean, options.deviation)


def compiled_preprocess(options: Preprocessing) -> tf.types.experimental.PolymorphicFunction:
    """`preprocess_bytes` as a compiled function of the encoded image, string []."""
    return tf.function(
        lambda image: preprocess_bytes(image, options),
        input_signature=[tf.TensorSpec([], tf.string)],
        autograph=False,
    )


def preprocess_encoded(image_bytes: tf.Tensor, options: Preprocessing) -> tf.Tensor:
    """Encoded images, string [N], as the net's input: float32 [N, S, S, 3]."""
    size = options.image_size
    return tf.map_fn(
        lambda image: preprocess_bytes(image, options),
        image_bytes,
        fn_output_signature=tf.TensorSpec([size, size, 3], tf.float32),
    )


def preprocess_uint8(images: tf.Tensor, options: Preprocessing) -> tf.Tensor:
    """Decoded images of one size, uint8 [N, H, W, 3], as the net's input: float32 [N, S, S, 3].

    The same as for a PNG of these pixels; a large JPEG is decoded at half its scale, which no one can do to pixels.
    """
    size = options.image_size
    if options.crop_fraction is not None:
        window = augment.central_crop_window(tf.shape(images)[1:], options.crop_fraction, options.stretch)
        images = tf.slice(images, [0, window[0], window[1], 0], [-1, window[2], window[3], 3])
    images = augment.resize(images, size, options.antialias, options.interpolation)
    return augment.normalize(tf.ensure_shape(images, [None, size, size, 3]), options.mean, options.deviation)
