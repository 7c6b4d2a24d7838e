"""The user's pictures: files, folders, patterns, videos and standard input, each upright and whole or named as bad."""

from __future__ import annotations

import glob
import io
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO

from mnasnet_cli.errors import DataError
from mnasnet_cli.prediction.video import VIDEO_SUFFIXES, video_frames

STANDARD_INPUT = "-"
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff"})  # any case
ORIENTATION = 0x0112  # EXIF's tag; 1 is upright
# How the files begin that may come through standard input; what else comes is a list of paths.
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"RIFF", b"II*\0", b"MM\0*")


@dataclass(frozen=True)
class Picture:
    """One picture as it is meant to be seen."""

    name: str
    """As it was given or found; of a frame of a video, the file's name and the frame's number: clip.mp4#12."""
    place: PurePath
    """Where a drawing of it goes below the output folder, without its ending."""
    encoded: bytes
    """A JPEG or PNG, upright."""
    width: int
    height: int


@dataclass(frozen=True)
class BadPicture:
    """Something that was given and can't be read."""

    name: str
    reason: str


def read_pictures(
    inputs: Sequence[str], *, frame_step: int = 1, stdin: IO[bytes] | None = None
) -> Iterator[Picture | BadPicture]:
    """Yields the pictures that `inputs` mean, in their order; those of a folder in the order of their names.

    Args:
      inputs: files, folders (searched to the bottom), patterns such as "photos/**/*.jpg", videos, and "-" for standard
        input: one encoded picture, or a list of any of these, one a line (or divided by NUL, as `find -print0` does).
      frame_step: of a video, take each n-th frame.
      stdin: where "-" reads from.
    """
    for given in inputs:
        if given == STANDARD_INPUT:
            yield from _from_standard_input(stdin or sys.stdin.buffer, frame_step)
        else:
            yield from _from_path(given, frame_step)


def _from_standard_input(stream: IO[bytes], frame_step: int) -> Iterator[Picture | BadPicture]:
    data = stream.read()
    if data.startswith(_SIGNATURES):
        yield read_picture("standard input", PurePath("stdin"), data)
        return
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        yield BadPicture("standard input", "neither a picture nor a list of paths")
        return
    names = [name for name in text.split("\0" if "\0" in text else "\n") if name.strip()]
    if not names:
        yield BadPicture("standard input", "empty: expected a picture or a list of paths")
    for name in names:
        yield from _from_path(name.strip("\r\n"), frame_step)


def _from_path(given: str, frame_step: int) -> Iterator[Picture | BadPicture]:
    path = Path(given)
    if path.is_dir():
        found = [file for file in _files_below(path) if file.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES]
        if not found:
            yield BadPicture(given, "a folder without pictures")
        for file in found:
            yield from _from_file(file, file.relative_to(path), frame_step)
    elif path.exists():
        yield from _from_file(path, PurePath(path.name), frame_step)
    elif glob.has_magic(given):
        matches = sorted(match for match in glob.glob(given, recursive=True) if Path(match).is_file())
        if not matches:
            yield BadPicture(given, "nothing matches this pattern")
        for match in matches:
            yield from _from_file(Path(match), PurePath(Path(match).name), frame_step)
    else:
        yield BadPicture(given, "no such file or folder")


def _files_below(folder: Path) -> list[Path]:
    return sorted(Path(root) / name for root, _, names in os.walk(folder, followlinks=True) for name in names)


def _from_file(path: Path, place: PurePath, frame_step: int) -> Iterator[Picture | BadPicture]:
    try:
        if path.suffix.lower() in VIDEO_SUFFIXES:
            yield from _frames(path, place, frame_step)
        else:
            yield read_picture(str(path), place.with_suffix(""), path.read_bytes())
    except DataError as error:
        yield BadPicture(str(path), str(error))
    except OSError as error:
        yield BadPicture(str(path), (error.strerror or str(error)).lower())


def _frames(path: Path, place: PurePath, frame_step: int) -> Iterator[Picture]:
    from PIL import Image

    for number, frame in video_frames(path, frame_step):
        buffer = io.BytesIO()
        Image.fromarray(frame).save(buffer, "PNG", compress_level=1)
        height, width = frame.shape[:2]
        yield Picture(
            f"{path}#{number}", place.with_suffix("") / f"frame-{number:06d}", buffer.getvalue(), width, height
        )


def read_picture(name: str, place: PurePath, data: bytes) -> Picture | BadPicture:
    """An encoded picture of any kind that Pillow reads, turned as its EXIF orientation says.

    An upright JPEG or PNG is passed on as it is, so that it is decoded as the records of an evaluation are; others
    become PNG. Of an animation, the first frame counts.
    """
    from PIL import Image, ImageOps

    if not data:
        return BadPicture(name, "empty file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd EXIF and large pictures
            with Image.open(io.BytesIO(data)) as image:
                image.load()  # a file that was cut short shows here
                upright = image.getexif().get(ORIENTATION, 1) in (0, 1)
                jpeg = image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L")  # others may be CMYK
                if upright and (jpeg or image.format == "PNG"):
                    return Picture(name, place, data, image.width, image.height)
                turned = ImageOps.exif_transpose(image).convert("RGB")
                buffer = io.BytesIO()
                turned.save(buffer, "PNG", compress_level=1)
                return Picture(name, place, buffer.getvalue(), turned.width, turned.height)
    except Image.UnidentifiedImageError:
        return BadPicture(name, "not a picture")
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        return BadPicture(name, " ".join(str(error).split()) or "damaged")
