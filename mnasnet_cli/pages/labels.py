"""Boxes and names on pictures, in one style: dark text on a filled ground, always inside the picture."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

MIN_FONT_SIZE = 12  # px; in large pictures, 1/45 of the longer side
PADDING = 2  # px around the text of a label
DASH = 6  # px; length of the dashes of a dashed box


def font_for(size: Sequence[int], scale: int = 45) -> Any:
    """Return the font for a picture of (width, height) px: 1/`scale` of its longer side, at least MIN_FONT_SIZE."""
    from PIL import ImageFont

    return ImageFont.load_default(max(MIN_FONT_SIZE, max(size) // scale))


def color_of(number: int) -> str:
    """Return a light color. Hues change by the golden ratio, so neighbouring numbers have different colors."""
    red, green, blue = colorsys.hsv_to_rgb(number * 0.618034 % 1, 0.6, 1.0)
    return f"#{int(red * 255):02x}{int(green * 255):02x}{int(blue * 255):02x}"


def color_of_name(name: str) -> str:
    """Return a light color that depends only on the name."""
    return color_of(sum(name.encode()))


def fit_text(text: str, font: Any, width: float) -> str:
    """Return the text, shortened with an ellipsis if it is wider than `width` px."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"


def draw_box(
    picture: Image, corners: Sequence[float], text: str, color: str, font: Any, *, line: int = 2, dashed: bool = False
) -> None:
    """Outline a box and write its text on a filled ground: above the box, or inside it where there is no room above.

    Args:
      corners: xmin, ymin, xmax, ymax in px; what is outside the picture is cut off.
      text: "" for none.
      line: width of the outline, px.
    """
    from PIL import ImageDraw

    draw = ImageDraw.Draw(picture)
    left, top = (min(max(0.0, value), side - 1.0) for value, side in zip(corners[:2], picture.size, strict=True))
    right, bottom = (min(max(0.0, value), side - 1.0) for value, side in zip(corners[2:], picture.size, strict=True))
    right, bottom = max(left, right), max(top, bottom)
    if dashed:
        _draw_dashes(draw, (left, top, right, bottom), color, line)
    else:
        draw.rectangle((left, top, right, bottom), outline=color, width=line)
    if text:
        draw_label(picture, (left, top), text, color, font)


def draw_label(picture: Image, corner: Sequence[float], text: str, color: str, font: Any) -> None:
    """Write a text on a filled ground above the point `corner` (x, y), or below it, inside the picture."""
    from PIL import ImageDraw

    draw = ImageDraw.Draw(picture)
    text = fit_text(text, font, picture.width - 2 * PADDING)
    ascent, descent = font.getmetrics()
    width, height = font.getlength(text) + 2 * PADDING, ascent + descent + PADDING
    x, y = corner
    x = max(0.0, min(x, picture.width - width))
    y = max(0.0, min(y - height if y >= height else y, picture.height - height))
    draw.rectangle((x, y, x + width - 1, y + height - 1), fill=color)
    draw.text((x + PADDING, y + PADDING / 2), text, "black", font)


def _draw_dashes(draw: Any, corners: Sequence[float], color: str, line: int) -> None:
    left, top, right, bottom = corners
    for start in range(int(left), int(right), 2 * DASH):
        for y in (top, bottom):
            draw.line([(start, y), (min(start + DASH, right), y)], color, line)
    for start in range(int(top), int(bottom), 2 * DASH):
        for x in (left, right):
            draw.line([(x, start), (x, min(start + DASH, bottom))], color, line)
