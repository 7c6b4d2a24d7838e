"""Augmentation: pure functions of image and seed, the same when called directly and within `map`."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from mnasnet_cli.data import augment
from mnasnet_cli.data.decoding import image_shape
from mnasnet_cli.data.rand_augment import operations, rand_augment

SEED = tf.constant([3, 4], tf.int32)


def seeds(count: int) -> list[tf.Tensor]:
    return [augment.fold(SEED, number) for number in range(count)]


def picture(height: int = 24, width: int = 32) -> tf.Tensor:
    values = np.random.default_rng(0).uniform(0, 255, (height, width, 3))
    return tf.constant(values, tf.float32)


def encoded(image: np.ndarray, kind: str = "JPEG") -> tf.Tensor:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, **({"quality": 95} if kind == "JPEG" else {}))
    return tf.constant(buffer.getvalue())


def gradient(height: int, width: int) -> np.ndarray:
    """Red grows downwards, green to the right."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(0, 255, height)[:, None]
    image[..., 1] = np.linspace(0, 255, width)
    return image


ONE_IMAGE: dict[str, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]] = {
    "flip": augment.random_flip,
    "jitter": lambda image, seed: augment.color_jitter(image, seed, 0.4),
    "erasing": lambda image, seed: augment.random_erasing(image, seed, 1.0),
    "rand_augment": lambda image, seed: rand_augment(image, seed, 2, 9.0),
}


@pytest.mark.parametrize("name", ONE_IMAGE)
def test_an_image_keeps_shape_and_range_and_follows_from_the_seed(name: str) -> None:
    function = ONE_IMAGE[name]
    image = picture()
    direct = [function(image, seed).numpy() for seed in seeds(8)]
    again = [function(image, seed).numpy() for seed in seeds(8)]
    # Within a map, with its shape known, as the input pipeline calls it.
    dataset = tf.data.Dataset.from_tensor_slices(tf.stack(seeds(8))).map(lambda seed: function(image, seed))
    assert dataset.element_spec.shape == image.shape
    for one, two, three in zip(direct, again, dataset, strict=True):
        assert one.shape == image.shape
        assert one.min() >= 0.0
        assert one.max() <= 255.0
        assert (one == two).all()
        np.testing.assert_allclose(one, three.numpy(), atol=1e-2)  # kernels may fuse differently
    assert any((one != direct[0]).any() for one in direct[1:])


def test_flip_mirrors_about_half_of_the_images() -> None:
    image = picture()
    mirrored = [(augment.random_flip(image, seed).numpy() == image.numpy()[:, ::-1]).all() for seed in seeds(100)]
    assert 35 <= sum(mirrored) <= 65


def test_crop_windows_lie_inside_and_have_the_area_and_ratio_asked_for() -> None:
    windows = [
        augment.random_crop_window(tf.constant([200, 300, 3]), seed, (0.25, 0.5), (0.75, 1.333)).numpy()
        for seed in seeds(50)
    ]
    for y, x, height, width in windows:
        assert 0 <= y <= 200 - height
        assert 0 <= x <= 300 - width
        assert 0.24 <= height * width / (200 * 300) <= 0.51  # sides are whole pixels
        assert 0.73 <= width / height <= 1.36
    assert len({tuple(window) for window in windows}) > 40


def test_the_central_crop() -> None:
    # 0.875 · 200 = 175; (200 - 175) // 2 = 12, (300 - 175) // 2 = 62.
    assert augment.central_crop_window(tf.constant([200, 300, 3]), 0.875).numpy().tolist() == [12, 62, 175, 175]
    assert augment.central_crop_window(tf.constant([50, 20, 3]), 1.0).numpy().tolist() == [15, 0, 20, 20]


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("size", [400, 100, 48])  # decoded in full, at half and at a quarter of the scale
def test_decoding_a_window_shows_that_window(kind: str, size: int) -> None:
    image = gradient(301, 403)
    window = (40, 80, 202, 204)
    found = augment.decode_crop_resize(encoded(image, kind), tf.constant(window), size).numpy()
    y, x, height, width = window
    crop = Image.fromarray(image[y : y + height, x : x + width])
    expected = np.asarray(crop.resize((size, size), Image.Resampling.BILINEAR), np.float32)
    assert found.shape == (size, size, 3)
    assert np.abs(found - expected)[..., :2].mean() < 3.0
    # At its edges as well: the scaled window is rounded down to at most 3 px beside the one asked for.
    assert np.abs(found - expected)[..., :2].max() < 8.0


def test_gray_images_have_three_channels() -> None:
    gray = encoded(gradient(40, 40)[..., 0])
    image = augment.decode_crop_resize(gray, tf.constant([0, 0, 40, 40]), 32).numpy()
    assert (image[..., 0] == image[..., 1]).all()
    assert image_shape(gray).numpy()[:2].tolist() == [40, 40]


def test_jitter_of_strength_0_changes_nothing() -> None:
    image = picture()
    np.testing.assert_allclose(augment.color_jitter(image, SEED, 0.0).numpy(), image.numpy(), atol=1e-3)


def test_hue_changes_and_brightness_does_not() -> None:
    image = picture(8, 8)
    found = augment.hue_jitter(image, SEED, 0.3)
    assert np.abs(found - image).max() > 10
    np.testing.assert_allclose(tf.reduce_max(found, -1), tf.reduce_max(image, -1), atol=0.01)
    np.testing.assert_allclose(augment.hue_jitter(image, SEED, 0.0), image, atol=0.01)
    assert (found == augment.hue_jitter(image, SEED, 0.3)).numpy().all()


def test_erasing_replaces_one_rectangle_and_keeps_the_rest() -> None:
    image = tf.zeros([64, 64, 3])
    for seed in seeds(20):
        changed = (augment.random_erasing(image, seed, 1.0).numpy() != 0).any(axis=-1)
        rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        area = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1) / 64**2
        assert 0.015 <= area <= 0.35
        assert changed.sum() / 64**2 >= 0.9 * area
        assert not augment.random_erasing(image, seed, 0.0).numpy().any()


def test_erasing_happens_as_often_as_asked() -> None:
    erased = [augment.random_erasing(tf.zeros([8, 8, 3]), seed, 0.25).numpy().any() for seed in seeds(200)]
    assert 30 <= sum(erased) <= 70


def test_mixup_blends_images_as_its_weight_says() -> None:
    images = tf.stack([tf.fill([4, 4, 3], value) for value in (0.0, 100.0, 200.0)])
    for seed in seeds(5):
        mixed, weight = augment.mixup(images, seed, 0.4)
        w = float(weight)
        assert 0.0 <= w <= 1.0
        # The partner is the batch reversed: 0 with 200, 100 with itself.
        expected = [200 * w, 100.0, 200 * (1 - w)]
        assert mixed.numpy()[:, 0, 0, 0] == pytest.approx(expected, abs=1e-3)


def test_cutmix_pastes_the_share_that_its_weight_says() -> None:
    images = tf.stack([tf.zeros([32, 32, 3]), tf.ones([32, 32, 3])])
    weights = []
    for seed in seeds(20):
        mixed, weight = augment.cutmix(images, seed, 1.0)
        assert float(tf.reduce_mean(mixed[0])) == pytest.approx(float(weight), abs=1e-6)
        assert float(tf.reduce_mean(mixed[1])) == pytest.approx(1 - float(weight), abs=1e-6)
        weights.append(float(weight))
    assert len(set(weights)) > 10
    assert max(weights) > 0.3


def test_beta_of_alpha_1_is_uniform() -> None:
    draws = np.array([float(augment.beta(seed, 1.0)) for seed in seeds(300)])
    assert draws.mean() == pytest.approx(0.5, abs=0.06)
    assert draws.std() == pytest.approx(12**-0.5, abs=0.04)


def test_rand_augment_of_strength_0_leaves_the_image_nearly_alone() -> None:
    image = tf.round(picture())
    names = ("identity", "autocontrast", "equalize")
    for number, operation in enumerate(operations(image, 0.0)):
        if number >= len(names):  # the first three have no strength
            np.testing.assert_allclose(operation(image, tf.constant(1.0)).numpy(), image.numpy(), atol=0.1)


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (1, lambda x: np.clip((x - 50.0) * 255 / 100, 0, 255)),  # autocontrast of 50..150
        (4, lambda x: x // 4 * 4),  # posterize: 8 - 4 · 0.5 = 6 bits
        (5, lambda x: np.where(x < 128, x, 255 - x)),  # solarize from 256 · (1 - 0.5)
        (8, lambda x: x * 1.45),  # brightness 1 + 0.9 · 0.5
    ],
)
def test_rand_augments_operations_by_their_formulas(index: int, expected: Callable[[Any], Any]) -> None:
    image = np.tile(np.linspace(50, 150, 11, dtype=np.float32).round()[:, None, None], (1, 4, 3))
    found = operations(tf.constant(image), 0.5)[index](tf.constant(image), tf.constant(1.0)).numpy()
    np.testing.assert_allclose(found, expected(image), atol=1e-2)


def test_translation_moves_by_its_share_of_the_side() -> None:
    image = np.zeros((20, 20, 3), np.float32)
    image[10, 10] = 255.0
    # 0.45 · strength 2/9 · 20 px = 2 px; a positive one samples further right and so moves the image to the left.
    shifted = operations(tf.constant(image), 2 / 9)[12](tf.constant(image), tf.constant(1.0)).numpy()
    assert shifted[10, 8, 0] == pytest.approx(255.0, abs=0.1)
    assert (shifted[:, -2:] == 128.0).all()
