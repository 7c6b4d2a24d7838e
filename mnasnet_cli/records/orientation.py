"""The EXIF orientation of a picture: how the stored frame has to be turned to be upright.

The orientation is tag 0x0112 in the first directory of the EXIF data, a SHORT with one value (Exif 2.32, 4.6.4). In a
JPEG, the EXIF data is the first APP1 segment before the image data that begins with "Exif\\0\\0". Where the tag is
missing or damaged, or is not 1..8, the picture is upright. An orientation in XMP does not count, as in web browsers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from PIL.Image import Image

Exif = Literal["upright", "ignore"]  # whether pictures are turned upright or kept as stored

UPRIGHT = 1
EXIF_HEADER = b"Exif\0\0"
ORIENTATION_TAG = 0x0112
_SHORT = 3
_ENTRY_BYTES = 12

Box = tuple[float, float, float, float]


def exif_orientation(exif: bytes) -> int:
    """Return the orientation 1..8 that EXIF data says, with or without the header "Exif\\0\\0"."""
    start = len(EXIF_HEADER) if exif.startswith(EXIF_HEADER) else 0
    if exif[start : start + 4] == b"II*\0":
        order: Literal["little", "big"] = "little"
    elif exif[start : start + 4] == b"MM\0*":
        order = "big"
    else:
        return UPRIGHT
    directory = start + int.from_bytes(exif[start + 4 : start + 8], order)
    count = int.from_bytes(exif[directory : directory + 2], order)
    tag_type_count = b"".join(
        number.to_bytes(size, order) for number, size in ((ORIENTATION_TAG, 2), (_SHORT, 2), (1, 4))
    )
    last = min(directory + 2 + count * _ENTRY_BYTES, len(exif) - _ENTRY_BYTES + 1)
    for entry in range(directory + 2, last, _ENTRY_BYTES):
        if exif[entry : entry + 8] == tag_type_count:
            value = int.from_bytes(exif[entry + 8 : entry + 10], order)
            return value if 1 <= value <= 8 else UPRIGHT
    return UPRIGHT


def image_orientation(image: Image) -> int:
    """Return the orientation 1..8 of an image that Pillow has opened."""
    tags = getattr(image, "tag_v2", None)
    if tags is not None:  # a TIFF
        value = tags.get(ORIENTATION_TAG, UPRIGHT)
        return value if value in range(1, 9) else UPRIGHT
    return exif_orientation(image.info.get("exif") or b"")


def turn_upright(image: Image, orientation: int) -> Image:
    """Return the stored frame of an orientation 1..8, turned upright. Upright images are returned as they are."""
    from PIL.Image import Transpose

    steps = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(steps[orientation]) if orientation in steps else image


def upright_size(height: int, width: int, orientation: int) -> tuple[int, int]:
    """Return (height, width) of the upright picture of a stored frame of this height and width."""
    return (width, height) if orientation >= 5 else (height, width)


def upright_boxes(boxes_yxyx: Sequence[Sequence[float]], orientation: int) -> list[Box]:
    """Map boxes from the stored frame to the upright picture.

    Args:
        boxes_yxyx: n × (ymin, xmin, ymax, xmax), normalized to [0, 1] of the stored frame.
        orientation: 1..8 of the stored frame.

    Returns: n × (ymin, xmin, ymax, xmax), normalized to [0, 1] of the upright picture.
    """
    return [_upright_box(box, orientation) for box in boxes_yxyx]


def _upright_box(box: Sequence[float], orientation: int) -> Box:
    ymin, xmin, ymax, xmax = box
    if orientation in (5, 6, 7, 8):  # the rows of the stored frame are columns of the picture
        ymin, xmin, ymax, xmax = xmin, ymin, xmax, ymax
    if orientation in (3, 4, 7, 8):
        ymin, ymax = 1 - ymax, 1 - ymin
    if orientation in (2, 3, 6, 7):
        xmin, xmax = 1 - xmax, 1 - xmin
    return ymin, xmin, ymax, xmax
