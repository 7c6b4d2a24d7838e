"""Converts images of any Pillow mode to 8-bit RGB or grayscale without transparency."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image


_BITS_PER_SAMPLE = 0x0102  # a TIFF tag


def to_plain(image: Image) -> Image:
    """Return the image in mode L or RGB: on a white background if it is transparent, and with 8 bits per channel.

    `mnasnet prepare-imagenet` and `mnasnet predict` both use this conversion.
    """
    if image.mode.startswith("I"):
        scale = 2.0 ** (_gray_bits(image) - 8)
        return image.convert("I").point(lambda value: value / scale).convert("L")
    if image.mode == "F":
        scale = _white_value(image) / 255
        return image.point(lambda value: value / scale).convert("L")
    if image.mode in ("LA", "RGBA", "PA") or "transparency" in image.info:
        opaque = _on_white(image)
        return opaque.convert("L") if image.mode in ("1", "L", "LA") else opaque
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _gray_bits(image: Image) -> int:
    """Return the bits per pixel of an image in mode I: 16, or fewer if a TIFF says so."""
    bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (16,))[0]
    return int(bits) if 8 < bits < 16 else 16


def _white_value(image: Image) -> float:
    """Return the value of white in an image in mode F, which no file format defines.

    It is the smallest of 1, 255 and 65535 that no pixel exceeds.
    """
    lightest = float(image.getextrema()[1])  # type: ignore[arg-type]  # a pair of numbers for one band
    return next((white for white in (1.0, 255.0) if lightest <= white), 65535.0)


def _on_white(image: Image) -> Image:
    from PIL import Image

    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
