"""Reads images in memory: encoded bytes, Pillow's images and NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

import numpy as np
from PIL import Image

from mnasnet_cli.errors import DataError
from mnasnet_cli.prediction.images import InputImage, UnreadableInput, read_image
from mnasnet_cli.system.pictures import encode_quickly

EXPECTED = "expected a path, bytes, a PIL image, or a NumPy array, uint8 [H, W, 3]"


def read_memory_image(name: str, given: Any) -> Iterator[InputImage | UnreadableInput]:
    """Yield the image, or those of an array [N, H, W, 3].

    Args:
      name: what results and messages call it.

    Raises:
      DataError: an object of another kind. This is an error of the program that calls, not a damaged image.
    """
    if isinstance(given, InputImage):
        yield given
    elif isinstance(given, bytes | bytearray | memoryview):
        yield read_image(name, PurePath(name), bytes(given))
    elif isinstance(given, Image.Image):
        yield _from_pil(getattr(given, "filename", "") or name, given)
    elif isinstance(given, np.ndarray):
        yield from _from_array(name, given)
    else:
        raise DataError(f"{name} is a {type(given).__name__}; {EXPECTED}")


def _from_pil(name: str, image: Image.Image) -> InputImage | UnreadableInput:
    """Return the picture of an image that Pillow has opened; `records.plain_image` says what this is."""
    from mnasnet_cli.records.orientation import image_orientation, turn_upright
    from mnasnet_cli.records.plain_image import to_plain

    try:
        image.load()
        plain = turn_upright(to_plain(image), image_orientation(image))
    except (OSError, ValueError) as error:
        return UnreadableInput(name, str(error))
    return _as_input(name, plain)


def _from_array(name: str, array: np.ndarray) -> Iterator[InputImage]:
    if array.dtype != np.uint8 or array.ndim not in (3, 4) or array.shape[-1] != 3 or 0 in array.shape[-3:-1]:
        raise DataError(f"{name} is a NumPy array, {array.dtype} {list(array.shape)}; {EXPECTED}")
    if array.ndim == 3:
        yield _as_input(name, Image.fromarray(array))
        return
    for number, one in enumerate(array):
        yield _as_input(f"{name}[{number}]", Image.fromarray(one))


def _as_input(name: str, image: Image.Image) -> InputImage:
    """Return an upright image in mode L or RGB as an input."""
    plain = image.copy()
    plain.info.clear()  # otherwise Pillow would write the profile and the transparent colour into the PNG
    path = PurePath(name)
    stem = PurePath(path.name).with_suffix("") if path.name else path
    return InputImage(name, stem, encode_quickly(plain), *plain.size)
