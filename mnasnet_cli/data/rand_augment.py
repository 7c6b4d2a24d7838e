"""RandAugment (Cubuk et al., arXiv 1909.13719): a few random operations of equal strength on each image."""

from __future__ import annotations

import math
from collections.abc import Callable

import tensorflow as tf

from mnasnet_cli.data.augment import GRAY_WEIGHTS, blend, fold

FILL = 128.0  # gray, for pixels from outside the image
STRONGEST = 10.0  # magnitudes run from 0 to this, as in the paper

Operation = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def rand_augment(image: tf.Tensor, seed: tf.Tensor, layers: int, magnitude: float) -> tf.Tensor:
    """Apply `layers` random operations to a float32 image [H, W, 3] in [0, 255]; magnitude is in [0, 10].

    The strengths at magnitude 10 are the paper's: 30° rotation, 0.3 shear, a translation of 45 % of the side (that of
    AutoAugment's 150 px on 331 px), 0.9 for colour factors, 4 bits kept by posterize.
    """
    choices = operations(image, magnitude / STRONGEST)
    for layer in range(layers):
        draw = tf.random.stateless_uniform([2], fold(seed, layer))
        choice = tf.cast(draw[0] * len(choices), tf.int32)
        sign = tf.where(draw[1] < 0.5, -1.0, 1.0)
        current = image
        # Bound now: `switch_case` traces each branch in this iteration.
        branches = [lambda operation=operation: operation(current, sign) for operation in choices]  # noqa: B023
        image = tf.clip_by_value(tf.switch_case(choice, branches), 0.0, 255.0)
        image = tf.ensure_shape(image, current.shape)
    return image


def operations(image: tf.Tensor, strength: float) -> list[Operation]:
    """Return the operations for images like `image`, each a function of an image and a sign; strength is in [0, 1]."""
    height, width = image.shape[0], image.shape[1]
    angle, shear, factor = strength * math.radians(30.0), 0.3 * strength, 0.9 * strength
    return [
        lambda x, sign: x,
        lambda x, sign: _autocontrast(x),
        lambda x, sign: _equalize(x),
        lambda x, sign: _rotate(x, sign * angle),
        lambda x, sign: _posterize(x, bits=round(8 - 4 * strength)),
        lambda x, sign: tf.where(x < 256.0 * (1.0 - strength), x, 255.0 - x),  # solarize
        lambda x, sign: blend(_gray(x), x, 1.0 + sign * factor),  # colour
        lambda x, sign: blend(tf.reduce_mean(_gray(x)), x, 1.0 + sign * factor),  # contrast
        lambda x, sign: x * (1.0 + sign * factor),  # brightness
        lambda x, sign: blend(_smooth(x), x, 1.0 + sign * factor),  # sharpness
        lambda x, sign: _affine(x, [1.0, sign * shear, 0.0, 0.0, 1.0, 0.0]),
        lambda x, sign: _affine(x, [1.0, 0.0, 0.0, sign * shear, 1.0, 0.0]),
        lambda x, sign: _affine(x, [1.0, 0.0, sign * 0.45 * strength * width, 0.0, 1.0, 0.0]),
        lambda x, sign: _affine(x, [1.0, 0.0, 0.0, 0.0, 1.0, sign * 0.45 * strength * height]),
    ]


def _gray(image: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(image * GRAY_WEIGHTS, axis=-1, keepdims=True)


def _autocontrast(image: tf.Tensor) -> tf.Tensor:
    low = tf.reduce_min(image, axis=[0, 1])
    high = tf.reduce_max(image, axis=[0, 1])
    return tf.where(high > low, (image - low) * 255.0 / tf.maximum(high - low, 1.0), image)


def _equalize(image: tf.Tensor) -> tf.Tensor:
    """Equalize the histogram of each channel."""
    pixels = tf.cast(tf.clip_by_value(image, 0.0, 255.0), tf.int32)
    channels = []
    for channel in tf.unstack(pixels, 3, axis=-1):
        cumulative = tf.cumsum(
            tf.cast(tf.math.bincount(tf.reshape(channel, [-1]), minlength=256, maxlength=256), tf.float32)
        )
        channels.append(tf.gather(cumulative / cumulative[-1] * 255.0, channel))
    return tf.stack(channels, axis=-1)


def _posterize(image: tf.Tensor, bits: int) -> tf.Tensor:
    step = 2.0 ** (8 - bits)
    return tf.floor(image / step) * step


def _smooth(image: tf.Tensor) -> tf.Tensor:
    """Smooth with the 3×3 kernel of Pillow's ImageFilter.SMOOTH: centre 5, neighbours 1, divided by 13."""
    kernel = tf.constant([[1.0, 1.0, 1.0], [1.0, 5.0, 1.0], [1.0, 1.0, 1.0]]) / 13.0
    kernel = tf.tile(kernel[:, :, tf.newaxis, tf.newaxis], [1, 1, 3, 1])
    return tf.nn.depthwise_conv2d(image[tf.newaxis], kernel, [1, 1, 1, 1], "SAME")[0]


def _rotate(image: tf.Tensor, angle: tf.Tensor) -> tf.Tensor:
    """Rotate about the centre; angle in radians."""
    cosine, sine = tf.cos(angle), tf.sin(angle)
    y, x = (image.shape[0] - 1) / 2.0, (image.shape[1] - 1) / 2.0
    return _affine(image, [cosine, -sine, x - cosine * x + sine * y, sine, cosine, y - sine * x - cosine * y])


def _affine(image: tf.Tensor, rows: list[tf.Tensor | float]) -> tf.Tensor:
    """Sample output (x, y) at (a·x + b·y + c, d·x + e·y + f) of the input, for rows = [a, b, c, d, e, f]."""
    transform = tf.stack([tf.cast(value, tf.float32) for value in [*rows, 0.0, 0.0]])
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=image[tf.newaxis],
        transforms=transform[tf.newaxis],
        output_shape=tf.constant(image.shape[:2].as_list(), tf.int32),
        fill_value=FILL,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )[0]
