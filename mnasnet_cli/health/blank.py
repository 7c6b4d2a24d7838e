"""Tells whether an encoded image is blank: of one colour. Hardly any other image is decoded for this."""

from __future__ import annotations

import io
import zlib
from typing import Any

from mnasnet_cli.records.image_files.kinds import JPEG_SIGNATURE

SMALL = 0.03  # bytes per pixel, without HEADER; a photograph of a blue sky is as small
HEADER = 700  # bytes
DECODED_SIDE = 32  # px; a JPEG is decoded at 1/2, 1/4 or 1/8, but not smaller than this
RANGE = 8  # of 255: the largest difference between two pixels of a channel of a blank image
_SCAN = b"\xff\xda"  # begins the compressed data of a JPEG


def is_blank(encoded: bytes, width: int, height: int) -> bool:
    """Tell whether an encoded image of this size in px has one colour.

    The compressed data of a blank image repeats itself, so it can be compressed much further. If so, the image is
    decoded.
    """
    if len(encoded) - HEADER >= SMALL * width * height or not encoded:
        return False
    start = max(0, encoded.rfind(_SCAN)) if encoded.startswith(JPEG_SIGNATURE) else 0
    size = len(encoded) - start
    return len(zlib.compress(encoded[start:], 1)) < 200 + size // 10 and _has_one_colour(encoded)


def _has_one_colour(encoded: bytes) -> bool:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(encoded)) as image:
            image.draft(None, (DECODED_SIDE, DECODED_SIDE))  # None keeps the mode
            extremes: list[Any] = [band.getextrema() for band in image.split()]
            return all(highest - lowest <= RANGE for lowest, highest in extremes)
    except Exception:  # decoders raise all kinds of errors for a damaged image
        return False
