"""The user's pictures: files, folders, patterns, videos and standard input, each upright and whole or named as bad."""

from __future__ import annotations

import glob
import io
import os
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO, TYPE_CHECKING

from mnasnet_cli.errors import DataError
from mnasnet_cli.prediction.video import VIDEO_SUFFIXES, video_frames

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile


STANDARD_INPUT = "-"
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff"})  # any case
ORIENTATION = 0x0112  # EXIF's tag; 1 is upright
NOT_A_PICTURE = "not a picture"
# Every encoded picture has some of these, or isn't UTF-8; NUL divides paths, and the others are no part of their names.
_CONTROLS = re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True)
class Picture:
    """One picture as it is meant to be seen."""

    name: str
    """As it was given or found; of a frame of a video, the file's name and the frame's number: clip.mp4#12."""
    place: PurePath
    """Where a drawing of it goes below the output folder, without its ending."""
    encoded: bytes
    """A JPEG or PNG, upright, in 8 bits and without transparency."""
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
    text = _as_text(data)
    if text is None:
        picture = read_picture("standard input", PurePath("stdin"), data)
        if isinstance(picture, BadPicture) and picture.reason == NOT_A_PICTURE:
            picture = BadPicture(picture.name, "neither a picture nor a list of paths in UTF-8")
        yield picture
        return
    names = [name for name in text.split("\0" if "\0" in text else "\n") if name.strip()]
    if not names:
        yield BadPicture("standard input", "empty: expected a picture or a list of paths")
    for name in names:
        yield from _from_path(name.strip("\r\n"), frame_step)


def _as_text(data: bytes) -> str | None:
    """The bytes as a list of paths, whatever its first name begins with; None where they are a file's."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if _CONTROLS.search(text) else text


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

    An upright JPEG or PNG is passed on as it is, so that it is decoded as the records of an evaluation are; others,
    and those of more than 8 bits or with transparency, become PNG as images become records. Of an animation, the first
    frame counts.
    """
    from PIL import Image, ImageOps

    from mnasnet_cli.records.plain_image import to_plain

    if not data:
        return BadPicture(name, "empty file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd EXIF and large pictures
            with Image.open(io.BytesIO(data)) as image:
                image.load()  # a file that was cut short shows here
                upright = image.getexif().get(ORIENTATION, 1) in (0, 1)
                if upright and _is_plain(image):
                    return Picture(name, place, data, image.width, image.height)
                ImageOps.exif_transpose(image, in_place=True)  # a copy would forget the bits of a TIFF
                plain = to_plain(image)
                buffer = io.BytesIO()
                plain.save(buffer, "PNG", compress_level=1)
                return Picture(name, place, buffer.getvalue(), plain.width, plain.height)
    except Image.UnidentifiedImageError:
        return BadPicture(name, NOT_A_PICTURE)
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        return BadPicture(name, " ".join(str(error).split()) or "damaged")


def _is_plain(image: ImageFile) -> bool:
    """Whether TensorFlow's decoder shows a file as records would: it drops transparency, and takes no CMYK."""
    if image.format in ("JPEG", "MPO"):
        return image.mode in ("L", "RGB")
    return image.format == "PNG" and image.mode in ("L", "RGB", "P") and "transparency" not in image.info
