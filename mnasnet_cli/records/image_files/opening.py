"""Opens an image file with Pillow. The content decides what a file is, not its name.

The reason of a bad image is the same in every run, and no library prints anything.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import struct
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from mnasnet_cli.records.image_files.header import BLANK_PIXELS, MAX_PIXELS, PIXELS_PER_BYTE, BadImage
from mnasnet_cli.records.image_files.kinds import HEIC, UNKNOWN_FORMAT, FileKind, describe_file
from mnasnet_cli.records.orientation import image_orientation, turn_upright
from mnasnet_cli.system.native_output import STDERR, redirect

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageFile import ImageFile


SIGNIFICANT_BITS = "significant_bits"
"""A key of `Image.info`: the bits of a gray value if the file says that they are fewer than those that store it."""

_SUBFILE_TYPE, _BITS_PER_SAMPLE, _SUB_DIRECTORIES, _DNG_VERSION = 0x00FE, 0x0102, 0x014A, 0xC612  # TIFF tags
_INVERSE = {6: 8, 8: 6}  # the orientation that undoes another; all others undo themselves
_DRAWINGS = {"EPS", "WMF"}  # Pillow would run Ghostscript, or draw them at any size


class StoredImage(NamedTuple):
    """A decoded image as it is stored: its first frame, not turned, and the orientation 1..8 of this frame.

    height, width: of the whole frame in px; `image` is smaller if it was decoded at a fraction of its size.
    """

    image: Image.Image
    orientation: int
    height: int
    width: int


def load_image(data: bytes, *, max_side: int | None = None) -> StoredImage:
    """Decode an image file in any format of Pillow.

    max_side: decode a JPEG with longer sides at 1/2, 1/4 or 1/8, if it is then still at least as large as this.

    Raises BadImage.
    """
    kind = describe_file(data)
    if kind.problem:
        raise BadImage(kind.problem)
    if kind.format == HEIC:
        _register_heif()
    with _silent(native=kind.format in ("TIFF", "")), _pillow_without_limit():
        return _load(data, kind, max_side)


def _load(data: bytes, kind: FileKind, max_side: int | None) -> StoredImage:
    with _open(data, kind) as image:
        size, orientation = image.size, image_orientation(image)
        try:
            bits = _significant_bits(data, image)
            _decode(image, len(data), max_side)
        except BadImage:
            raise
        except Exception as error:
            raise BadImage(_reason(kind, error, "its data is damaged")) from None
    frame: Image.Image = image
    if kind.format != "TIFF":
        orientation = image_orientation(image)  # a PNG may tell it behind its pixels
    elif orientation != image_orientation(image):  # Pillow turns a TIFF upright
        frame = turn_upright(image, _INVERSE.get(orientation, orientation))
        size = frame.size
    if bits:
        frame.info[SIGNIFICANT_BITS] = bits
    return StoredImage(frame, orientation, height=size[1], width=size[0])


def _open(data: bytes, kind: FileKind) -> ImageFile:
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(data), formats=_formats(kind))
    except Exception as error:  # decoders raise all kinds of errors for a damaged header
        raise BadImage(_reason(kind, error, "its header is damaged")) from None
    if _is_raw(getattr(image, "tag_v2", {})):
        raise BadImage("this is a raw photograph (such as DNG, NEF or ARW); convert it to JPEG or PNG")
    return image


def _is_raw(tags: Mapping[int, Any]) -> bool:
    """Tell whether a TIFF is a raw photograph: a preview first, and the photograph in a directory below."""
    is_preview = tags.get(_SUBFILE_TYPE, 0) == 1
    return _DNG_VERSION in tags or (is_preview and _SUB_DIRECTORIES in tags)


def _decode(image: ImageFile, file_bytes: int, max_side: int | None) -> None:
    size = image.size
    if max_side and max(size) > max_side:
        image.draft(None, _least_size(size, max_side))
    if image.width * image.height > MAX_PIXELS:
        raise BadImage(too_large(*size))
    if image.width * image.height > max(BLANK_PIXELS, PIXELS_PER_BYTE * file_bytes):
        # A damaged size, or a trap: decoding it would take 4 bytes and more for each pixel.
        raise BadImage(f"it claims {size[0]:,}×{size[1]:,} px in {file_bytes:,} bytes: it is damaged or blank")
    image.load()


def _least_size(size: tuple[int, int], max_side: int) -> tuple[int, int]:
    """Return the (width, height) that a JPEG may not be smaller than when it is decoded.

    An image that TensorFlow could decode keeps `max_side` on both sides, for quality.
    """
    if size[0] * size[1] <= MAX_PIXELS:
        return max_side, max_side
    scale = max_side / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def too_large(width: int, height: int) -> str:
    """Return the reason why an image of this size in px cannot be used."""
    return f"it has {width:,}×{height:,} px, but TensorFlow decodes at most {MAX_PIXELS:,} pixels; scale it down"


def _formats(kind: FileKind) -> list[str]:
    """Return Pillow's formats that a file of this kind can have."""
    from PIL import Image

    if kind.format == "JPEG":
        return ["JPEG", "MPO"]
    if kind.format:
        return [kind.format]
    Image.init()
    return [name for name in Image.ID if name not in _DRAWINGS]


def _register_heif() -> None:
    try:
        import pillow_heif
    except ImportError:
        raise BadImage("this is a HEIC image; to read it, run: pip install pillow-heif") from None
    pillow_heif.register_heif_opener()


@contextlib.contextmanager
def _silent(native: bool) -> Iterator[None]:
    """Suppress warnings and log messages, and if `native` also what libraries print, such as libtiff."""
    logger = logging.getLogger("PIL")
    level = logger.level
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        if native:
            stack.enter_context(redirect(stack.enter_context(open(os.devnull, "wb")), STDERR))
        logger.setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            logger.setLevel(level)


@contextlib.contextmanager
def _pillow_without_limit() -> Iterator[None]:
    """Let Pillow open images of all sizes. Only the pixels that are decoded count; see MAX_PIXELS."""
    from PIL import Image

    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _reason(kind: FileKind, error: Exception, otherwise: str) -> str:
    """Return why an image cannot be decoded, without addresses and Python values."""
    from PIL import Image, features

    if kind.format == "AVIF" and not features.check("avif"):
        return "this is an AVIF image, which the installed Pillow cannot read; run: pip install --upgrade pillow"
    if not kind.format and isinstance(error, Image.UnidentifiedImageError):
        return UNKNOWN_FORMAT
    if isinstance(error, MemoryError):
        return f"there is not enough memory to decode the {kind.name}"
    text = str(error)
    if re.search(r"truncated|Truncated|unexpected end|EOF", text) or isinstance(error, EOFError):
        return f"the {kind.name} is cut off"
    if (
        isinstance(error, OSError | SyntaxError | ValueError)
        and re.fullmatch(r"[\w ,.;:'-]+", text)
        and not re.search(r"object|convert|error -?\d", text)
    ):
        return f"the {kind.name} is damaged: {text[0].lower()}{text[1:].rstrip('.')}"
    return f"the {kind.name} cannot be decoded; {otherwise}"


def _significant_bits(data: bytes, image: Image.Image) -> int | None:
    """Return the bits of a gray value that a PNG (sBIT) or a TIFF (BitsPerSample) tells, if these are 9..15."""
    bits: int | None = None
    if image.format == "PNG" and image.mode.startswith("I"):
        bits = _png_significant_bits(data)
    elif tags := getattr(image, "tag_v2", None):
        bits = tags.get(_BITS_PER_SAMPLE, (16,))[0]
    return bits if bits in range(9, 16) else None


def _png_significant_bits(data: bytes) -> int | None:
    position = 8  # behind the signature
    while position + 9 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        if name == b"sBIT":
            return data[position + 8]
        if name == b"IDAT":
            return None
        position += length + 12
    return None
