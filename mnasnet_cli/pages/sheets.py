"""Sheets: pictures in rows, each above its caption, below a legend."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mnasnet_cli.pages.fonts import Font
from mnasnet_cli.pages.labels import fit_text
from mnasnet_cli.system.files import write_atomically
from mnasnet_cli.system.pictures import encode

if TYPE_CHECKING:
    from PIL.Image import Image

GAP = 8  # px between pictures, and around them
BACKGROUND, GROUND, TEXT = "white", "#f2f4f6", "#1d2329"
FONT_SIZE = 12  # px


def draw_sheet(
    pictures: Sequence[Image],
    captions: Sequence[str],
    *,
    columns: int,
    tile: int,
    legend: Sequence[tuple[str, str]] = (),
    title: str = "",
) -> Image:
    """Return pictures with captions as one picture.

    Each picture is scaled so that its longer side has `tile` px. A row is as high as its highest picture.

    Args:
      captions: one or more lines for each picture; a line that is too long is shortened.
      legend: (color, meaning) pairs.
    """
    from PIL import Image, ImageDraw

    font = Font(FONT_SIZE)
    line = sum(font.getmetrics()) + 2
    columns = max(1, min(columns, len(pictures)))
    width = max(columns * (tile + GAP) + GAP, 320)
    scaled = [_scale(picture, tile) for picture in pictures]
    rows = [range(start, min(start + columns, len(pictures))) for start in range(0, len(pictures), columns)]
    lines = [[fit_text(text, font, tile - 8) for text in caption.split("\n")] for caption in captions]
    pictured = [max(scaled[number].height for number in row) for row in rows]
    captioned = [max(len(lines[number]) for number in row) * line + 4 for row in rows]
    keys = _wrap(legend, font, width)
    head = line * (len(keys) + bool(title)) + GAP * bool(keys or title)
    height = head + sum(pictured) + sum(captioned) + GAP * (len(rows) + 1)
    sheet = Image.new("RGB", (width, height), BACKGROUND)
    draw, y = ImageDraw.Draw(sheet), GAP
    if title:
        font.draw(draw, (GAP, y), fit_text(title, font, width - 2 * GAP), TEXT)
        y += line
    for key in keys:
        x = float(GAP)
        for color, meaning in key:
            draw.rectangle((x, y + 2, x + 16, y + line - 5), fill=color, outline=TEXT)
            font.draw(draw, (x + 22, y), meaning, TEXT)
            x += _key_width(meaning, font)
        y += line
    y = head + GAP
    for row, high, below in zip(rows, pictured, captioned, strict=True):
        for place, number in enumerate(row):
            x = GAP + place * (tile + GAP)
            picture = scaled[number]
            draw.rectangle((x, y, x + tile - 1, y + high + below - 1), fill=GROUND)
            sheet.paste(picture, (round(x + (tile - picture.width) / 2), round(y + (high - picture.height) / 2)))
            for count, text in enumerate(lines[number]):
                font.draw(draw, (x + 4, y + high + 2 + count * line), text, TEXT)
        y += high + below + GAP
    return sheet


def save_sheet(sheet: Image, path: Path) -> None:
    """Write a sheet as PNG, completely or not at all."""
    write_atomically(path, encode(sheet, "PNG"))


def _scale(picture: Image, side: int) -> Image:
    scale = side / max(picture.size)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.convert("RGB").resize(size)


def _key_width(meaning: str, font: Font) -> float:
    return 22 + font.getlength(meaning) + 20


def _wrap(legend: Sequence[tuple[str, str]], font: Font, width: int) -> list[list[tuple[str, str]]]:
    """Return the legend in lines."""
    lines: list[list[tuple[str, str]]] = []
    used = float(width)
    for key in legend:
        needed = _key_width(key[1], font)
        if used + needed > width:
            lines.append([])
            used = GAP
        lines[-1].append(key)
        used += needed
    return lines
