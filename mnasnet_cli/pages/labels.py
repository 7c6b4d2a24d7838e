"""Boxes and names on pictures, in one style: dark text on a filled ground, always inside the picture."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mnasnet_cli.pages.fonts import Font

if TYPE_CHECKING:
    from PIL.Image import Image

MIN_FONT_SIZE = 12  # px
PADDING = 2  # px around the text of a label
DASH = 6  # px; length of the dashes of a dashed box
MAX_LETTERS = 200  # of a text; a name may have any length

Corners = tuple[float, float, float, float]


@dataclass(frozen=True)
class Box:
    """A box on a picture with its text.

    Attributes:
      corners: xmin, ymin, xmax, ymax in px; what is outside the picture is cut off.
      text: "" for none.
      line: width of the outline, px.
    """

    corners: Sequence[float]
    text: str
    color: str
    line: int = 2
    dashed: bool = False


def font_for(size: Sequence[int], scale: int = 45) -> Font:
    """Return the font for a picture of (width, height) px.

    Its size is 1/`scale` of the longer side, at most 1/8 of the shorter one, and at least MIN_FONT_SIZE.
    """
    return Font(max(MIN_FONT_SIZE, min(max(size) // scale, min(size) // 8)))


def color_of(number: int) -> str:
    """Return a light color. Hues change by the golden ratio, so neighbouring numbers have different colors."""
    red, green, blue = colorsys.hsv_to_rgb(number * 0.618034 % 1, 0.6, 1.0)
    return f"#{int(red * 255):02x}{int(green * 255):02x}{int(blue * 255):02x}"


def color_of_name(name: str) -> str:
    """Return a light color that depends only on the name."""
    return color_of(sum(name.encode()))


def fit_text(text: str, font: Font, width: float) -> str:
    """Return the text; if it is wider than `width` px, without its middle.

    The end stays, for it tells files apart and holds the score of a box.
    """
    if len(text) <= MAX_LETTERS and font.getlength(text) <= width:
        return text
    for kept in range(min(len(text), MAX_LETTERS) - 1, 0, -1):
        end = kept // 3
        short = f"{text[: kept - end]}…{text[len(text) - end :]}"
        if font.getlength(short) <= width:
            return short
    return "…"


def draw_boxes(picture: Image, boxes: Sequence[Box], font: Font) -> None:
    """Draw boxes with their texts, the most important first in `boxes`: it is drawn on top.

    A text that finds no free place at its box is left out, so that texts never cover each other.
    """
    from PIL import ImageDraw

    draw = ImageDraw.Draw(picture)
    placed = [(box, _inside(box.corners, picture.size)) for box in boxes]
    for box, corners in reversed(placed):
        if box.dashed:
            _draw_dashes(draw, corners, box.color, box.line)
        else:
            draw.rectangle(corners, outline=box.color, width=box.line)
    taken: list[Corners] = []
    for box, corners in placed:
        if not box.text:
            continue
        text = fit_text(box.text, font, picture.width - 2 * PADDING)
        place = _free_place(corners, _label_size(text, font), picture.size, taken)
        if place is not None:
            _draw_text(draw, place, text, box.color, font)
            taken.append(place)


def draw_label(picture: Image, corner: Sequence[float], text: str, color: str, font: Font) -> None:
    """Write a text on a filled ground above the point `corner` (x, y), or below it, inside the picture."""
    from PIL import ImageDraw

    text = fit_text(text, font, picture.width - 2 * PADDING)
    width, height = _label_size(text, font)
    x, y = corner
    place = _moved_inside(x, y - height if y >= height else y, (width, height), picture.size)
    _draw_text(ImageDraw.Draw(picture), place, text, color, font)


def _inside(corners: Sequence[float], size: tuple[int, int]) -> Corners:
    """Return the part of a box inside a picture; one without area becomes a point or a line."""
    left, top = (min(max(0.0, value), side - 1.0) for value, side in zip(corners[:2], size, strict=True))
    right, bottom = (min(max(0.0, value), side - 1.0) for value, side in zip(corners[2:], size, strict=True))
    return left, top, max(left, right), max(top, bottom)


def _label_size(text: str, font: Font) -> tuple[float, float]:
    ascent, descent = font.getmetrics()
    return font.getlength(text) + 2 * PADDING, ascent + descent + PADDING


def _moved_inside(x: float, y: float, label: tuple[float, float], size: tuple[int, int]) -> Corners:
    width, height = label
    x = max(0.0, min(x, size[0] - width))
    y = max(0.0, min(y, size[1] - height))
    return x, y, x + width, y + height


def _free_place(
    corners: Corners, label: tuple[float, float], size: tuple[int, int], taken: Sequence[Corners]
) -> Corners | None:
    """Return where a label touches its box and no other label: above, inside or below it; None if there is no place."""
    left, top, right, bottom = corners
    width, height = label
    rows = [top - height, top, bottom - height, bottom]
    if top < height:  # there is no room above
        rows = [*rows[1:], 0.0]
    for y in rows:
        for x in (left, right - width + 1):
            place = _moved_inside(x, y, label, size)
            if not any(_overlap(place, other) for other in taken):
                return place
    return None


def _overlap(one: Corners, other: Corners) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _draw_text(draw: Any, place: Corners, text: str, color: str, font: Font) -> None:
    left, top, right, bottom = place
    draw.rectangle((left, top, right - 1, bottom - 1), fill=color)
    font.draw(draw, (left + PADDING, top + PADDING / 2), text, "black")


def _draw_dashes(draw: Any, corners: Corners, color: str, line: int) -> None:
    left, top, right, bottom = corners
    for start in range(int(left), int(right), 2 * DASH):
        for y in (top, bottom):
            draw.line([(start, y), (min(start + DASH, right), y)], color, line)
    for start in range(int(top), int(bottom), 2 * DASH):
        for x in (left, right):
            draw.line([(x, start), (x, min(start + DASH, bottom))], color, line)
