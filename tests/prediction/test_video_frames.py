"""Frames of videos, through fake libraries."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path, PurePath
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from image_files import pixels_of

from mnasnet_cli.errors import DataError
from mnasnet_cli.prediction import video_frames
from mnasnet_cli.prediction.images import InputImage, UnreadableInput, read_images
from mnasnet_cli.prediction.video_frames import read_video_frames

FRAMES = [np.full((6, 8, 3), number, np.uint8) for number in range(5)]
UseLibrary = Callable[[str, list[np.ndarray]], None]


@pytest.fixture
def use_library(monkeypatch: pytest.MonkeyPatch) -> UseLibrary:
    """A function that makes a module the only library for videos, with these frames in every video."""

    def use(module: str, frames: list[np.ndarray]) -> None:
        def read(path: Path) -> Iterator[np.ndarray]:
            return iter(frames)

        monkeypatch.setattr(video_frames, "READERS", {module: read})

    return use


def test_every_nth_frame_with_its_number(use_library: UseLibrary) -> None:
    use_library("json", FRAMES)  # any module that is installed
    assert [number for number, _ in read_video_frames(Path("clip.mp4"))] == [0, 1, 2, 3, 4]
    found = list(read_video_frames(Path("clip.mp4"), 2))
    assert [(number, int(frame[0, 0, 0])) for number, frame in found] == [(0, 0), (2, 2), (4, 4)]


def test_a_video_without_frames(use_library: UseLibrary) -> None:
    use_library("json", [])
    with pytest.raises(DataError, match="frames"):
        list(read_video_frames(Path("clip.mp4")))


def test_without_a_library_the_error_names_one(use_library: UseLibrary) -> None:
    use_library("no_such_module", FRAMES)
    with pytest.raises(DataError, match="pip install av"):
        list(read_video_frames(Path("clip.mp4")))


@pytest.mark.parametrize("name", ["clip.mp4", "clip.MOV"])
def test_frames_are_input_images(use_library: UseLibrary, tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    use_library("json", FRAMES)
    found = list(read_images([str(tmp_path)], frame_step=2))
    assert [one.name for one in found] == [f"{tmp_path / name}#{number}" for number in (0, 2, 4)]
    assert isinstance(found[1], InputImage)
    assert found[1].output_path == PurePath("clip/frame-000002")
    assert np.unique(pixels_of(found[1])).tolist() == [2]
    use_library("no_such_module", FRAMES)
    [bad] = read_images([str(tmp_path / name)])
    assert isinstance(bad, UnreadableInput)


COLORS = np.zeros((6, 8, 3), np.uint8) + np.array([1, 2, 3], np.uint8)  # RGB


class FFmpegError(OSError):
    pass


class FakeContainer:
    """A file that `av.open` has opened."""

    def __init__(self, path: str) -> None:
        if not path.endswith(".mp4"):
            raise FFmpegError(1, "Invalid data")

    def __enter__(self) -> FakeContainer:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def decode(self, video: int) -> Iterator[Any]:
        yield SimpleNamespace(to_ndarray=lambda format: {"rgb24": COLORS}[format])


class FakeCapture:
    """OpenCV's reader: BGR frames; none for a file that is not a video."""

    def __init__(self, path: str) -> None:
        self.frames = [COLORS[..., ::-1]] if path.endswith(".mp4") else []

    def read(self) -> tuple[bool, np.ndarray | None]:
        return (True, self.frames.pop()) if self.frames else (False, None)

    def release(self) -> None:
        self.frames = []


def imiter(path: Path) -> Iterator[np.ndarray]:
    if path.suffix != ".mp4":
        raise OSError("no backend")
    yield COLORS


LIBRARIES: dict[str, dict[str, Any]] = {
    "av": {"open": FakeContainer, "error": SimpleNamespace(FFmpegError=FFmpegError)},
    "cv2": {"VideoCapture": FakeCapture},
    "imageio": {"imiter": imiter},
}


@pytest.mark.parametrize("name", LIBRARIES)
def test_each_library_gives_rgb_frames(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)
    vars(module).update(LIBRARIES[name])
    monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, f"{name}.v3", module)
    monkeypatch.setattr(video_frames, "READERS", {name: video_frames.READERS[name]})
    [(number, frame)] = read_video_frames(Path("clip.mp4"))
    assert (number, frame.tolist()) == (0, COLORS.tolist())
    with pytest.raises(DataError, match="video"):
        list(read_video_frames(Path("text.txt")))
