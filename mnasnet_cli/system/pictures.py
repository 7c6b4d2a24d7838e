"""Encodes pictures, for files and for pages."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image


def encode(picture: Image, format: str, **options: Any) -> bytes:
    """Return the bytes of an image file. A file of its own would be cut short on a full disk without an error.

    format, options: as Pillow's `Image.save` takes them.
    """
    content = io.BytesIO()
    picture.save(content, format, **options)
    return content.getvalue()


def encode_quickly(picture: Image) -> bytes:
    """Return the bytes of a PNG file that is made in little time and is not as small as it could be."""
    return encode(picture, "PNG", compress_level=1)
