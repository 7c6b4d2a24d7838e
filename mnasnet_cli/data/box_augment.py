"""Augmentation of an image with its boxes. Each function is pure, as in `augment`.

Boxes are float32 [n, 4] (ymin, xmin, ymax, xmax) in px; a window is int32 [4] (y, x, height, width) in px of the image.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from mnasnet_cli.geometry import boxes as geometry

MOSAIC_PARTS = 4
MOSAIC_MEETING = (0.3, 0.7)  # the parts of a mosaic meet between these fractions of the side


def random_crop_window(
    shape: tf.Tensor,
    boxes: tf.Tensor,
    seed: tf.Tensor,
    *,
    area: tuple[float, float],
    ratio: tuple[float, float],
    covered: float,
) -> tf.Tensor:
    """Draw a window that shows at least the fraction `covered` of one of the boxes.

    `area` is its fraction of the image's area, `ratio` its width over its height. After a hundred attempts the window
    is the whole image, as in the Object Detection API.
    """
    sides = tf.cast(tf.stack([shape[0], shape[1], shape[0], shape[1]]), tf.float32)
    begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
        shape,
        bounding_boxes=tf.clip_by_value(boxes / sides, 0.0, 1.0)[tf.newaxis],
        seed=seed,
        min_object_covered=covered,
        aspect_ratio_range=ratio,
        area_range=area,
        max_attempts=100,
        use_image_if_no_bounding_boxes=True,
    )
    return tf.stack([begin[0], begin[1], size[0], size[1]])


def zoom_window(window: tf.Tensor, seed: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Draw a part of a window whose sides are 1 / factor of the window's; a factor up to 1 returns the window."""
    old = tf.cast(window[2:], tf.float32)
    new = tf.maximum(1.0, tf.round(old / tf.maximum(factor, 1.0)))
    offset = tf.floor(tf.random.stateless_uniform([2], seed) * (old - new + 1.0))
    return tf.concat([window[:2] + tf.cast(offset, tf.int32), tf.cast(new, tf.int32)], 0)


def shrink_into_frame(
    image: tf.Tensor, boxes: tf.Tensor, seed: tf.Tensor, factor: tf.Tensor, fill: tuple[float, float, float]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Shrink an image [S, S, 3] and its boxes by min(1, factor), and place them at random in a frame of size S."""
    size = image.shape[0]
    side = tf.clip_by_value(tf.cast(tf.round(factor * size), tf.int32), 1, size)

    def shrunk() -> tuple[tf.Tensor, tf.Tensor]:
        free = tf.cast(size - side + 1, tf.float32)
        place = tf.cast(tf.random.stateless_uniform([2], seed) * free, tf.int32)
        small = tf.image.resize(image, [side, side], antialias=True) - tf.constant(fill)
        framed = tf.image.pad_to_bounding_box(small, place[0], place[1], size, size) + tf.constant(fill)
        moved = boxes * (tf.cast(side, tf.float32) / size) + tf.tile(tf.cast(place, tf.float32), [2])
        return tf.ensure_shape(framed, image.shape), moved

    return tf.cond(side < size, shrunk, lambda: (image, boxes))


def boxes_in_window(boxes: tf.Tensor, window: tf.Tensor, size: int) -> tf.Tensor:
    """Convert boxes from px of an image to px of its window resized to size × size; they may reach beyond it."""
    corner, sides = tf.cast(tf.tile(window[:2], [2]), tf.float32), tf.cast(tf.tile(window[2:], [2]), tf.float32)
    return (boxes - corner) * (size / sides)


def random_flip(image: tf.Tensor, boxes: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mirror an image [S, S, 3] and its boxes with probability 0.5."""

    def mirrored() -> tuple[tf.Tensor, tf.Tensor]:
        ymin, xmin, ymax, xmax = tf.unstack(boxes, 4, axis=-1)
        width = float(image.shape[1])
        return tf.reverse(image, [1]), tf.stack([ymin, width - xmax, ymax, width - xmin], axis=-1)

    return tf.cond(tf.random.stateless_uniform([], seed) < 0.5, mirrored, lambda: (image, boxes))


def mosaic(images: Sequence[tf.Tensor], boxes: Sequence[tf.Tensor], seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Combine four images [S, S, 3] and their boxes into one (mosaic, arXiv 2004.10934, section 3.4).

    They meet at a random point. The paper cuts the images there; here each is resized to its part, and its aspect
    ratio is not kept.
    """
    size = images[0].shape[0]
    meeting = tf.cast(size * tf.random.stateless_uniform([2], seed, *MOSAIC_MEETING), tf.int32)
    spans = [((tf.constant(0), middle), (middle, size - middle)) for middle in tf.unstack(meeting)]
    tiles, moved = [], []
    for part, (image, own) in enumerate(zip(images, boxes, strict=True)):
        (top, height), (left, width) = spans[0][part // 2], spans[1][part % 2]
        tiles.append(tf.image.resize(image, tf.stack([height, width]), antialias=True))
        scale = tf.cast(tf.stack([height, width] * 2), tf.float32) / size
        moved.append(own * scale + tf.cast(tf.stack([top, left] * 2), tf.float32))
    whole = tf.concat([tf.concat(tiles[:2], axis=1), tf.concat(tiles[2:], axis=1)], axis=0)
    return tf.ensure_shape(whole, images[0].shape), tf.concat(moved, axis=0)


def keep_visible(
    boxes: tf.Tensor, classes: tf.Tensor, crowd: tf.Tensor, size: int, min_visible: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Clip boxes at the frame and drop those outside. A box that is less than `min_visible` visible becomes a crowd.

    A hand at the edge is not a person to learn, but it is not background either.
    """
    cut = geometry.clip(boxes, size, size)
    share = tf.math.divide_no_nan(geometry.area(cut), geometry.area(boxes))
    inside = geometry.area(cut) > 0.0
    hidden = crowd | (share < min_visible)
    return tf.boolean_mask(cut, inside), tf.boolean_mask(classes, inside), tf.boolean_mask(hidden, inside)
