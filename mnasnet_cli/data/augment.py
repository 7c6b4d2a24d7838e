"""Augmentation of an image or a batch. Each function is pure: the result depends on its input and the seed alone.

Images are float32 [H, W, 3] in [0, 255]. A seed is an int32 [2] tensor for TensorFlow's stateless random numbers. So an
example looks the same on any worker, and again after a resume.
"""

from __future__ import annotations

import tensorflow as tf

from mnasnet_cli.data.decoding import decode_fast

GRAY_WEIGHTS = (0.299, 0.587, 0.114)  # ITU-R BT.601 luma, as in JPEG


def fold(seed: tf.Tensor, *data: tf.Tensor | int) -> tf.Tensor:
    """Derive a seed from a seed and integers, such as an epoch and an index."""
    for value in data:
        seed = tf.random.experimental.stateless_fold_in(seed, value)
    return seed


def random_crop_window(
    shape: tf.Tensor, seed: tf.Tensor, area: tuple[float, float], ratio: tuple[float, float]
) -> tf.Tensor:
    """Draw the window of RandomResizedCrop, int32 [4] as (y, x, height, width), for an image of `shape` [3].

    `area` is the crop's fraction of the image's area, `ratio` its width over its height. After ten attempts the window
    is the whole image, as in the MnasNet TPU code.
    """
    begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
        shape,
        bounding_boxes=tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
        seed=seed,
        min_object_covered=0.0,
        aspect_ratio_range=ratio,
        area_range=area,
        max_attempts=10,
        use_image_if_no_bounding_boxes=True,
    )
    return tf.stack([begin[0], begin[1], size[0], size[1]])


def central_crop_window(shape: tf.Tensor, fraction: float, stretch: bool = False) -> tf.Tensor:
    """Return the central square, int32 [4] as (y, x, height, width). Its side is `fraction` of the image's short side.

    stretch: return `fraction` of both sides instead of a square.
    """
    sides = shape[:2] if stretch else tf.fill([2], tf.minimum(shape[0], shape[1]))
    inner = tf.cast(tf.round(fraction * tf.cast(sides, tf.float32)), tf.int32)
    return tf.concat([(shape[:2] - inner) // 2, inner], 0)


def whole_window(shape: tf.Tensor) -> tf.Tensor:
    """Return the window of the whole image of `shape` [3]."""
    return tf.stack([0, 0, shape[0], shape[1]])


def resize(image: tf.Tensor, size: int, antialias: bool = False, interpolation: str = "bilinear") -> tf.Tensor:
    """Resize an image or a batch […, H, W, 3] to float32 […, size, size, 3]; see `config.schema.Interpolation`."""
    if interpolation == "tf1-bilinear":
        batch = image if image.shape.rank == 4 else image[tf.newaxis]
        resized = tf.raw_ops.ResizeBilinear(
            images=batch, size=[size, size], align_corners=False, half_pixel_centers=False
        )
        return resized if image.shape.rank == 4 else resized[0]
    return tf.image.resize(image, [size, size], method=interpolation, antialias=antialias)


def decode_crop_resize(
    image_bytes: tf.Tensor, window: tf.Tensor, size: int, antialias: bool = False, interpolation: str = "bilinear"
) -> tf.Tensor:
    """Decode `window` of an encoded image by `decode_fast` and resize it to [size, size, 3].

    `tf1-bilinear` decodes in full size.
    """
    crop = decode_fast(image_bytes, window, None if interpolation == "tf1-bilinear" else size)
    return tf.ensure_shape(resize(crop, size, antialias, interpolation), [size, size, 3])


def random_flip(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Mirror the image with probability 0.5."""
    return tf.cond(tf.random.stateless_uniform([], seed) < 0.5, lambda: tf.reverse(image, [1]), lambda: image)


def color_jitter(image: tf.Tensor, seed: tf.Tensor, strength: float) -> tf.Tensor:
    """Scale brightness, contrast and saturation, each by a factor in [1 - strength, 1 + strength]."""
    factors = tf.random.stateless_uniform([3], seed, tf.maximum(0.0, 1.0 - strength), 1.0 + strength)
    image = image * factors[0]
    gray = tf.reduce_sum(image * GRAY_WEIGHTS, axis=-1, keepdims=True)
    image = blend(tf.reduce_mean(gray), image, factors[1])
    image = blend(gray, image, factors[2])
    return tf.clip_by_value(image, 0.0, 255.0)


def hue_jitter(image: tf.Tensor, seed: tf.Tensor, strength: float) -> tf.Tensor:
    """Shift the hue of an image in [0, 255] by up to the fraction `strength` of the colour circle."""
    return tf.image.stateless_random_hue(image / 255.0, strength, seed) * 255.0


def blend(first: tf.Tensor, second: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Return first + factor · (second - first). A factor over 1 extrapolates."""
    return first + factor * (second - first)


def random_erasing(image: tf.Tensor, seed: tf.Tensor, probability: float) -> tf.Tensor:
    """Replace one rectangle, of 2 % to a third of the area, by noise (Zhong et al., arXiv 1708.04896)."""
    shape = tf.shape(image)
    window = random_crop_window(shape, fold(seed, 0), (0.02, 1 / 3), (0.3, 3.3))
    inside = window_mask(shape[0], shape[1], window)[..., tf.newaxis]
    inside &= tf.random.stateless_uniform([], fold(seed, 1)) < probability
    noise = tf.random.stateless_normal(shape, fold(seed, 2), mean=127.5, stddev=64.0)
    return tf.where(inside, tf.clip_by_value(noise, 0.0, 255.0), image)


def window_mask(height: tf.Tensor, width: tf.Tensor, window: tf.Tensor) -> tf.Tensor:
    """Return bool [height, width], True inside the window (y, x, height, width)."""
    rows, columns = tf.range(height), tf.range(width)
    in_rows = (rows >= window[0]) & (rows < window[0] + window[2])
    in_columns = (columns >= window[1]) & (columns < window[1] + window[3])
    return in_rows[:, tf.newaxis] & in_columns[tf.newaxis, :]


def beta(seed: tf.Tensor, alpha: float) -> tf.Tensor:
    """Draw from Beta(alpha, alpha): x / (x + y) for x, y from Gamma(alpha)."""
    draws = tf.random.stateless_gamma([2], seed, alpha)
    return draws[0] / tf.maximum(draws[0] + draws[1], 1e-12)


def mixup(images: tf.Tensor, seed: tf.Tensor, alpha: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Blend a batch [N, H, W, 3] with its reverse (Zhang et al., arXiv 1710.09412).

    Returns the images and the weight [] of the partner's label.
    """
    weight = beta(seed, alpha)
    return blend(images, tf.reverse(images, [0]), weight), weight


def cutmix(images: tf.Tensor, seed: tf.Tensor, alpha: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Paste one window of the reversed batch over a batch [N, H, W, 3] (Yun et al., arXiv 1905.04899).

    Returns the images and the weight [] of the partner's label: the fraction of the area that was pasted.
    """
    height, width = tf.shape(images)[1], tf.shape(images)[2]
    sides = tf.cast(tf.stack([height, width]), tf.float32) * tf.sqrt(beta(fold(seed, 0), alpha))
    center = tf.random.stateless_uniform([2], fold(seed, 1)) * tf.cast(tf.stack([height, width]), tf.float32)
    low = tf.cast(tf.maximum(center - sides / 2, 0.0), tf.int32)
    high = tf.cast(tf.minimum(center + sides / 2, tf.cast(tf.stack([height, width]), tf.float32)), tf.int32)
    inside = window_mask(height, width, tf.concat([low, high - low], 0))
    weight = tf.reduce_mean(tf.cast(inside, tf.float32))
    return tf.where(inside[tf.newaxis, ..., tf.newaxis], tf.reverse(images, [0]), images), weight
