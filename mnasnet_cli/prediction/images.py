"""Reads input images from files, folders, glob patterns, videos and standard input."""

from __future__ import annotations

import glob
import io
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO, TYPE_CHECKING

from mnasnet_cli.errors import DataError
from mnasnet_cli.prediction.video_frames import VIDEO_SUFFIXES, read_video_frames
from mnasnet_cli.records.image_files.header import MAX_FILE_BYTES
from mnasnet_cli.records.image_files.kinds import IMAGE_SUFFIXES, UNKNOWN_FORMAT
from mnasnet_cli.system.documents import Unreadable, check_regular, read_bytes
from mnasnet_cli.system.pictures import encode_quickly

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

STANDARD_INPUT = "-"
MAX_PATH = 4096  # bytes; Linux has no longer ones
# An encoded image has some of these, or is not UTF-8. A list of paths has none: NUL separates paths.
_CONTROL_CHARACTERS = re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True)
class InputImage:
    """One upright image.

    Attributes:
      name: the path as given or found; for a frame of a video, the path and the frame number, as in clip.mp4#12.
      output_path: where to draw it below the output folder, without suffix.
      encoded: a JPEG or PNG file, upright, 8 bits per channel, without transparency.
      width, height: in px.
      damage: what is damaged in the file, so that a part of the picture is missing, or "".
    """

    name: str
    output_path: PurePath
    encoded: bytes
    width: int
    height: int
    damage: str = ""

    def open(self) -> PilImage:
        """Return the image in Pillow's mode RGB."""
        from PIL import Image

        with Image.open(io.BytesIO(self.encoded)) as opened:
            return opened.convert("RGB")


@dataclass(frozen=True)
class UnreadableInput:
    """An input that is missing or can't be decoded, and the reason."""

    name: str
    """As `InputImage.name`."""
    reason: str
    """In one line, such as "no such file or folder"."""


def read_images(
    inputs: Iterable[str], *, frame_step: int = 1, stdin: IO[bytes] | None = None
) -> Iterator[InputImage | UnreadableInput]:
    """Yields the images of all inputs in order; those of a folder sorted by path.

    Args:
      inputs: files, folders (searched recursively), glob patterns such as "photos/**/*.jpg", videos, and "-" for
        standard input: one encoded image, or a list of paths, one per line or separated by NUL (`find -print0`).
      frame_step: use every n-th frame of a video.
      stdin: the stream for "-"; sys.stdin if None.
    """
    for given in inputs:
        if given == STANDARD_INPUT:
            yield from _from_standard_input(stdin or sys.stdin.buffer, frame_step)
        else:
            yield from _from_path(given, frame_step)


def _from_standard_input(stream: IO[bytes], frame_step: int) -> Iterator[InputImage | UnreadableInput]:
    data = stream.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        yield UnreadableInput("standard input", f"more than {MAX_FILE_BYTES / 1e6:,.0f} MB, which no image has")
        return
    text = _as_text(data)
    if text is None:
        image = read_image("standard input", PurePath("stdin"), data)
        if isinstance(image, UnreadableInput) and image.reason == UNKNOWN_FORMAT:
            image = UnreadableInput(image.name, "neither an image nor a list of paths in UTF-8")
        yield image
        return
    paths = [path for path in text.split("\0" if "\0" in text else "\n") if path.strip()]
    if not paths:
        yield UnreadableInput("standard input", "empty; expected an image or a list of paths")
    for path in paths:
        yield from _from_path(path.strip("\r\n"), frame_step)


def _as_text(data: bytes) -> str | None:
    """The bytes as text if they can be a list of paths, else None. Paths may start like the header of an image."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if _CONTROL_CHARACTERS.search(text) else text


def _from_path(given: str, frame_step: int) -> Iterator[InputImage | UnreadableInput]:
    path = Path(given)
    if "\0" in given or len(given) > MAX_PATH:
        yield UnreadableInput(given[:MAX_PATH].replace("\0", "\\0"), "not a path")
    elif path.is_dir():
        found = [file for file in _files_below(path) if file.name.lower().endswith((*IMAGE_SUFFIXES, *VIDEO_SUFFIXES))]
        if not found:
            yield UnreadableInput(given, "a folder without images")
        for file in found:
            yield from _from_file(file, file.relative_to(path), frame_step)
    elif path.exists():
        yield from _from_file(path, PurePath(path.name), frame_step)
    elif glob.has_magic(given):
        matches = sorted(match for match in glob.glob(_as_pattern(given), recursive=True) if Path(match).is_file())
        if not matches:
            yield UnreadableInput(given, "no file matches this pattern")
        for match in matches:
            yield from _from_file(Path(match), PurePath(Path(match).name), frame_step)
    else:
        yield UnreadableInput(given, "no such file or folder")


def _as_pattern(given: str) -> str:
    """Return a pattern whose first folders stand for themselves, as far as there are folders of exactly these names."""
    parts = Path(given).parts
    for count in range(len(parts) - 1, 0, -1):
        folder = str(Path(*parts[:count]))
        if os.path.isdir(folder):
            return os.path.join(glob.escape(folder), *parts[count:]) if glob.has_magic(folder) else given
    return given


def _files_below(folder: Path) -> list[Path]:
    return sorted(Path(root) / name for root, _, names in os.walk(folder, followlinks=True) for name in names)


def _from_file(path: Path, output_path: PurePath, frame_step: int) -> Iterator[InputImage | UnreadableInput]:
    try:
        if path.suffix.lower() in VIDEO_SUFFIXES:
            check_regular(path)
            yield from _frames(path, output_path, frame_step)
        else:
            yield read_image(str(path), output_path.with_suffix(""), read_bytes(path, MAX_FILE_BYTES))
    except Unreadable as error:
        yield UnreadableInput(str(path), error.reason)
    except DataError as error:
        yield UnreadableInput(str(path), str(error))
    except OSError as error:
        yield UnreadableInput(str(path), (error.strerror or str(error)).lower())


def _frames(path: Path, output_path: PurePath, frame_step: int) -> Iterator[InputImage]:
    from PIL import Image

    for number, frame in read_video_frames(path, frame_step):
        height, width = frame.shape[:2]
        target = output_path.with_suffix("") / f"frame-{number:06d}"
        yield InputImage(f"{path}#{number}", target, encode_quickly(Image.fromarray(frame)), width, height)


def read_image(name: str, output_path: PurePath, data: bytes) -> InputImage | UnreadableInput:
    """Returns the picture of an image file; `records.plain_image` says what this is.

    A JPEG or PNG that TensorFlow decodes to its picture keeps its bytes, as in records. Other images become a PNG.
    """
    from mnasnet_cli.records.image_files.header import BadImage
    from mnasnet_cli.records.image_files.jpeg import jpeg_damage
    from mnasnet_cli.records.plain_image import read_header, read_picture

    try:
        header = read_header(data)
        damage = jpeg_damage(data) if header and header.format == "JPEG" else ""
        if header and header.shows_picture("upright") and not damage:  # TensorFlow would print the damage
            return InputImage(name, output_path, data, header.width, header.height)
        image = read_picture(data).image
    except BadImage as error:
        return UnreadableInput(name, str(error))
    image.info.clear()  # otherwise Pillow would write the profile and the transparent colour of the file
    return InputImage(name, output_path, encode_quickly(image), image.width, image.height, damage)
