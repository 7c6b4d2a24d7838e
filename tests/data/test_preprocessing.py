"""From encoded and decoded images to a net's input."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from mnasnet_cli.config.pre_postprocessing import Preprocessing
from mnasnet_cli.data.preprocessing import (
    compiled_preprocess,
    crop_window,
    decode_image,
    normalize,
    preprocess_bytes,
    preprocess_encoded,
    preprocess_uint8,
)

OPTIONS = Preprocessing(image_size=32, crop_fraction=0.875, mean=(100.0, 110.0, 120.0), deviation=(50.0, 51.0, 52.0))


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (48, 80, 3), np.uint8)


def png(pixels: np.ndarray) -> bytes:
    return tf.io.encode_png(pixels).numpy()


@pytest.mark.parametrize(
    ("changes", "window"),
    [
        ({"crop_fraction": 0.875}, [3, 19, 42, 42]),  # 0.875 · 48 = 42; (48 - 42) / 2 = 3; (80 - 42) / 2 = 19
        ({"crop_fraction": 0.875, "stretch": True}, [3, 5, 42, 70]),  # 0.875 · 80 = 70
        ({"crop_fraction": None}, [0, 0, 48, 80]),
    ],
)
def test_the_window_follows_from_the_image_and_the_options(changes: dict[str, object], window: list[int]) -> None:
    options = dataclasses.replace(OPTIONS, **changes)
    assert crop_window(tf.constant([48, 80, 3]), options).numpy().tolist() == window


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "tf1-bilinear"])
@pytest.mark.parametrize("crop_fraction", [0.875, None])
def test_all_ways_give_the_same_input(pixels: np.ndarray, interpolation: str, crop_fraction: float | None) -> None:
    options = dataclasses.replace(OPTIONS, interpolation=interpolation, crop_fraction=crop_fraction, antialias=True)
    encoded = png(pixels)
    expected = preprocess_bytes(tf.constant(encoded), options)
    assert (expected.shape, expected.dtype) == ((32, 32, 3), tf.float32)
    np.testing.assert_allclose(normalize(decode_image(tf.constant(encoded), options), options), expected)
    np.testing.assert_allclose(compiled_preprocess(options)(encoded), expected, atol=1e-5)
    np.testing.assert_allclose(preprocess_encoded(tf.constant([encoded]), options)[0], expected, atol=1e-5)
    np.testing.assert_allclose(preprocess_uint8(tf.constant(pixels[np.newaxis]), options)[0], expected, atol=1e-5)


def test_mean_and_deviation_are_those_of_each_colour() -> None:
    pixels = np.full((40, 40, 3), (150, 161, 172), np.uint8)  # one deviation above the mean in each colour
    np.testing.assert_allclose(preprocess_bytes(tf.constant(png(pixels)), OPTIONS), np.ones((32, 32, 3)), atol=1e-5)


def test_the_type_is_read_as_it_was_written() -> None:
    assert Preprocessing.parse(OPTIONS.to_dict(), "classification") == OPTIONS
    assert Preprocessing.parse({"image_size": 64, "later": 1}, "classification").crop_fraction == 0.875
    assert Preprocessing.parse({"image_size": 64}, "detection").crop_fraction is None
