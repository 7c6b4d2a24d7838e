"""From encoded and decoded images to a net's input."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from image_files import encode, noise, with_orientation
from PIL import Image, ImageOps

from mnasnet_cli.config.pre_postprocessing import Preprocessing
from mnasnet_cli.data import augment
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


def options_of(size: int, **changes: Any) -> Preprocessing:
    return dataclasses.replace(OPTIONS, image_size=size, **changes)


PHOTOGRAPHS = {
    "small": noise(9, 7).resize((90, 70), Image.Resampling.BICUBIC),
    "12 megapixels": noise(9, 7).resize((4000, 3000), Image.Resampling.BICUBIC),
}


@pytest.mark.parametrize("size", [64, 224])
@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_jpeg_and_a_png_of_its_pixels_give_the_same_input(name: str, size: int) -> None:
    jpeg = encode(PHOTOGRAPHS[name], "JPEG", quality=90)
    pixels = np.asarray(Image.open(io.BytesIO(jpeg)))
    options = options_of(size)
    expected = preprocess_bytes(tf.constant(jpeg), options)
    for found in (
        preprocess_bytes(tf.constant(encode(Image.fromarray(pixels), "PNG", compress_level=1)), options),
        preprocess_encoded(tf.constant([jpeg]), options)[0],
        preprocess_uint8(tf.constant(pixels[np.newaxis]), options)[0],
    ):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_fast_decode_is_that_of_training() -> None:
    jpeg = tf.constant(encode(PHOTOGRAPHS["small"], "JPEG", quality=90))
    options = options_of(16, decode="fast")
    window = crop_window(tf.constant([70, 90]), options)
    expected = augment.decode_crop_resize(jpeg, window, 16)
    assert (decode_image(jpeg, options).numpy() == expected.numpy()).all()
    assert (decode_image(jpeg, options_of(16)).numpy() != expected.numpy()).any()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("changes", [{}, {"crop_fraction": None, "antialias": True}, {"decode": "fast"}])
def test_image_files_are_turned_upright_and_records_are_not(
    orientation: int, kind: str, changes: dict[str, Any]
) -> None:
    options = options_of(16, **changes)
    file = encode(PHOTOGRAPHS["small"], kind, exif=with_orientation(orientation))
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(file)))
    (found,) = preprocess_encoded(tf.constant([file]), options)
    if options.decode == "accurate":
        expected = preprocess_uint8(tf.constant(np.asarray(upright)[np.newaxis]), options)[0]
        np.testing.assert_allclose(found, expected, atol=1e-5)
    stored = preprocess_bytes(tf.constant(file), options)
    plain = preprocess_bytes(tf.constant(encode(PHOTOGRAPHS["small"], kind)), options)
    np.testing.assert_allclose(stored, plain, atol=1e-5)
    assert np.allclose(found, stored, atol=0.1) == (orientation == 1)


def test_images_of_several_kinds_in_one_batch() -> None:
    options = options_of(32)
    files = [
        encode(PHOTOGRAPHS["small"], "JPEG", exif=with_orientation(6)),
        encode(PHOTOGRAPHS["small"].convert("L"), "PNG"),
        encode(Image.new("RGBA", (50, 40), (9, 9, 9, 0)), "PNG"),
        encode(PHOTOGRAPHS["small"].convert("CMYK"), "JPEG"),
    ]
    batch = preprocess_encoded(tf.constant(files), options)
    white = normalize(tf.fill([32, 32, 3], 255.0), options)
    np.testing.assert_allclose(batch[2], white, atol=1e-5)
    for image, file in zip(batch, files, strict=True):
        np.testing.assert_allclose(image, preprocess_encoded(tf.constant([file]), options)[0], atol=1e-5)


def test_mean_and_deviation_are_those_of_each_colour() -> None:
    pixels = np.full((40, 40, 3), (150, 161, 172), np.uint8)  # one deviation above the mean in each colour
    np.testing.assert_allclose(preprocess_bytes(tf.constant(png(pixels)), OPTIONS), np.ones((32, 32, 3)), atol=1e-5)


def test_the_type_is_read_as_it_was_written() -> None:
    assert Preprocessing.parse(OPTIONS.to_dict(), "classification") == OPTIONS
    assert Preprocessing.parse({"image_size": 64, "later": 1}, "classification").crop_fraction == 0.875
    assert Preprocessing.parse({"image_size": 64}, "detection").crop_fraction is None
