"""Encodes and decodes images for tests."""

from __future__ import annotations

import io
from pathlib import PurePath
from typing import Any

import numpy as np
from PIL import Image

from mnasnet_cli.prediction.images import InputImage, UnreadableInput, read_image
from mnasnet_cli.records.orientation import ORIENTATION_TAG


def encode(image: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def with_orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = value
    return exif


def noise(width: int = 90, height: int = 60, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8))


def as_input(image: Image.Image, name: str = "image") -> InputImage:
    """The image as a PNG input."""
    found = read_image(name, PurePath(name), encode(image, "PNG"))
    assert isinstance(found, InputImage)
    return found


def pixels_of(image: InputImage | UnreadableInput) -> np.ndarray:
    """[H, W, 3] uint8, decoded by TensorFlow."""
    import tensorflow as tf

    assert isinstance(image, InputImage), image
    return np.asarray(tf.io.decode_image(image.encoded, channels=3))
