"""Any picture as 8-bit RGB or grayscale, without transparency."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image


_BITS_PER_SAMPLE = 0x0102  # TIFF's tag


def to_plain(image: Image) -> Image:
    """Return the image as mode L or RGB; transparency is laid on white, gray of more bits is brought to 8.

    `mnasnet predict` shows a net pictures by the same rule.
    """
    if image.mode.startswith("I"):
        step = 2.0 ** (_gray_bits(image) - 8)
        return image.convert("I").point(lambda value: value / step).convert("L")
    if image.mode == "F":
        step = _float_white(image) / 255
        return image.point(lambda value: value / step).convert("L")
    if image.mode in ("LA", "RGBA", "PA") or "transparency" in image.info:
        opaque = _on_white(image)
        return opaque.convert("L") if image.mode in ("1", "L", "LA") else opaque
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _gray_bits(image: Image) -> int:
    """Bits of a value of mode I: 16, but in a TIFF that packs 12."""
    bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (16,))[0]
    return int(bits) if 8 < bits < 16 else 16


def _float_white(image: Image) -> float:
    """The value of white among floats, for which no file says it: the least of the usual ones that no pixel exceeds."""
    lightest = float(image.getextrema()[1])  # type: ignore[arg-type]  # of one band, a pair of numbers
    return next((white for white in (1.0, 255.0) if lightest <= white), 65535.0)


def _on_white(image: Image) -> Image:
    from PIL import Image

    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
