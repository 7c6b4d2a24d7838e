"""What is known of a JPEG or PNG without decoding its pixels."""

from __future__ import annotations

from typing import NamedTuple

from mnasnet_cli.records.image_files.profiles import is_foreign
from mnasnet_cli.records.orientation import UPRIGHT, Exif

MAX_PIXELS = 2**29 // 3
"""TensorFlow's JPEG decoder refuses images of more than 2^29 values."""

BLANK_PIXELS = 1 << 24
"""Pixels that any image may have, however small its file is."""
PIXELS_PER_BYTE = 10_000
"""Of a larger image, at most: a blank page in black and white has 8,000 pixels in a byte of a PNG."""

MAX_FILE_BYTES = 3 * MAX_PIXELS + (1 << 20)
"""Of an image file: the largest picture that is decoded, without compression, and its header."""


class BadImage(Exception):
    """An image that cannot be read; the message is the reason, in one line."""


class ImageHeader(NamedTuple):
    """The header of a JPEG or PNG.

    format: JPEG or PNG. height, width: of the stored frame in px. channels: 1, 3 or 4. orientation: 1..8, from EXIF.
    profile: the ICC profile. ordinary: whether TensorFlow is sure to decode the file to the colours that it stores.
    """

    format: str
    height: int
    width: int
    channels: int
    orientation: int
    profile: bytes | None
    ordinary: bool

    def shows_picture(self, exif: Exif) -> bool:
        """Tell whether TensorFlow decodes the file to its picture; see `records.plain_image`."""
        return (
            self.ordinary
            and (self.orientation == UPRIGHT or exif == "ignore")
            and not is_foreign(self.profile, "L" if self.channels == 1 else "RGB")
        )
