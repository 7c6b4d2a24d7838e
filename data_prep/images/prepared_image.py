"""What a record stores of an image file: the file itself, or its picture if TensorFlow would see another one.

TensorFlow decodes baseline and progressive JPEGs and 8-bit PNGs without transparency. Such files are copied unchanged
if they are upright and their colours are sRGB. The picture of any other image is stored as a PNG, so that no pixel
changes: `mnasnet eval` on the records then gives the probabilities of `mnasnet predict` on the files. A picture that is
scaled down has new pixels anyway; it is stored as a JPEG.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mnasnet_cli.records.image_files.header import BadImage, ImageHeader
from mnasnet_cli.records.image_files.jpeg import jpeg_damage
from mnasnet_cli.records.orientation import UPRIGHT, Exif
from mnasnet_cli.records.plain_image import read_header, read_picture
from mnasnet_cli.system.pictures import encode

if TYPE_CHECKING:
    from PIL.Image import Image

SPARSE = 0.02
"""Bytes a pixel. JPEGs of cameras have 0.1 to 1. The few with less are decoded once more than others."""
SCALED_QUALITY = 95
PNG_COMPRESSION = 1  # more takes three times as long and saves 2 %


class PreparedImage(NamedTuple):
    """An image for a record.

    Attributes:
        data: a JPEG or PNG that TensorFlow decodes to the picture.
        height, width: of the picture in px.
        channels: 1 or 3.
        reencoded: whether `data` is not the file itself.
        format: JPEG or PNG.
        orientation: 1..8 of the stored frame, from EXIF, which was turned upright; 1 if nothing was turned.
        stored_height, stored_width: of the frame that the file stores, in px, neither turned nor scaled.
        converted: whether the colours were converted from another ICC profile to sRGB.
    """

    data: bytes
    height: int
    width: int
    channels: int
    reencoded: bool
    format: str
    orientation: int
    stored_height: int
    stored_width: int
    converted: bool


def prepare_image(
    data: bytes, *, max_side: int | None = None, verify: bool = False, exif: Exif = "upright"
) -> PreparedImage:
    """Return an image in a form that TensorFlow decodes to its picture. If possible, this is `data` itself.

    Args:
        data: the bytes of an image file.
        max_side: longest side in px; a larger image is scaled down.
        verify: decode the image completely, which finds damage within the compressed data.
        exif: "upright" turns the picture by its EXIF orientation, "ignore" keeps it as stored.

    Raises BadImage.
    """
    header = read_header(data)
    unchanged = header and header.shows_picture(exif) and not (max_side and max(header.height, header.width) > max_side)
    doubtful = header and header.format == "JPEG" and (verify or (unchanged and _is_sparse(data, header)))
    if doubtful and (damage := jpeg_damage(data)):
        raise BadImage(damage)
    if header and unchanged:
        file_format, height, width, channels = header[:4]
        return PreparedImage(data, height, width, channels, False, file_format, UPRIGHT, height, width, False)
    return _reencode(data, max_side, exif)


def _is_sparse(data: bytes, header: ImageHeader) -> bool:
    """Tell whether a JPEG has so little data for its size that its header may be damaged, and claim a larger one.

    TensorFlow refuses such a file only in training.
    """
    return len(data) < SPARSE * header.width * header.height


def _reencode(data: bytes, max_side: int | None, exif: Exif) -> PreparedImage:
    picture = read_picture(data, exif=exif, max_side=max_side)
    image = picture.image
    is_scaled = max_side is not None and max(picture.height, picture.width) > max_side
    file_format = "JPEG" if is_scaled else "PNG"
    return PreparedImage(
        _encode(image, file_format), image.height, image.width, 1 if image.mode == "L" else 3, True, file_format,
        picture.orientation, picture.height, picture.width, picture.converted,
    )  # fmt: skip


def _encode(image: Image, file_format: str) -> bytes:
    image.info.clear()  # otherwise Pillow would write an ICC profile, a comment or a transparent colour of the source
    if file_format == "JPEG":
        return encode(image, "JPEG", quality=SCALED_QUALITY, subsampling=0)
    return encode(image, "PNG", compress_level=PNG_COMPRESSION)
