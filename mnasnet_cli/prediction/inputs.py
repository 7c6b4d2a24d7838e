"""Reads the images to predict: paths, and images in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from mnasnet_cli.prediction.images import InputImage, UnreadableInput, read_images
from mnasnet_cli.prediction.memory_images import read_memory_image

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

ImageSource: TypeAlias = "str | os.PathLike[str] | bytes | PilImage | np.ndarray | InputImage"
"""A path, folder or pattern, an encoded image, a Pillow image, or an array, uint8 [H, W, 3] or [N, H, W, 3]."""


def read_inputs(
    inputs: ImageSource | Iterable[ImageSource], *, frame_step: int = 1
) -> Iterator[InputImage | UnreadableInput]:
    """Yield the images of one or several inputs in order.

    Args:
      inputs: what `read_images` takes, encoded images as bytes, Pillow images, and NumPy arrays, uint8 [H, W, 3] or
        [N, H, W, 3], RGB.
      frame_step: use every n-th frame of a video.

    Raises:
      DataError: an input of another type.
    """
    several: Any = inputs
    single = isinstance(inputs, str | bytes | bytearray | memoryview | np.ndarray) or not isinstance(inputs, Iterable)
    for number, given in enumerate([inputs] if single else several):
        if isinstance(given, str | os.PathLike):
            yield from read_images([os.fspath(given)], frame_step=frame_step)
        else:
            yield from read_memory_image("image" if single else f"images[{number}]", given)
