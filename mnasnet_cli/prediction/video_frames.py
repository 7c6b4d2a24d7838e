"""Reads the frames of a video file with the first installed library of av, OpenCV and imageio."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mnasnet_cli.errors import DataError

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg"})  # any case


def read_video_frames(path: Path, step: int = 1) -> Iterator[tuple[int, np.ndarray]]:
    """Yields every `step`-th frame with its number from 0, as [H, W, 3] uint8 RGB.

    Raises:
      DataError: not a video, or no library for videos is installed.
    """
    reader = next((READERS[name] for name in READERS if importlib.util.find_spec(name) is not None), None)
    if reader is None:
        raise DataError(
            "reading videos needs a library; run `pip install av` (or opencv-python-headless, or imageio[pyav])"
        )
    count = 0
    for number, frame in enumerate(reader(path)):
        count += 1
        if number % step == 0:
            yield number, frame
    if not count:
        raise DataError("not a video, or without frames")


def _with_av(path: Path) -> Iterator[np.ndarray]:
    av: Any = importlib.import_module("av")
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                yield frame.to_ndarray(format="rgb24")
    except (av.error.FFmpegError, IndexError) as error:  # IndexError: only sound
        raise DataError(f"the video can't be read ({getattr(error, 'strerror', error)})") from error


def _with_opencv(path: Path) -> Iterator[np.ndarray]:
    cv2: Any = importlib.import_module("cv2")
    capture = cv2.VideoCapture(str(path))
    try:
        while True:
            more, frame = capture.read()
            if not more:
                return
            yield np.ascontiguousarray(frame[..., ::-1])  # OpenCV stores BGR
    finally:
        capture.release()


def _with_imageio(path: Path) -> Iterator[np.ndarray]:
    imageio: Any = importlib.import_module("imageio.v3")
    try:
        yield from imageio.imiter(path)
    except (OSError, ValueError, ImportError) as error:
        raise DataError(f"the video can't be read ({error})") from error


# The first installed one is used.
READERS: dict[str, Callable[[Path], Iterator[np.ndarray]]] = {
    "av": _with_av,
    "cv2": _with_opencv,
    "imageio": _with_imageio,
}
