"""Fonts that have the letters of a text: DejaVu Sans, and for the letters that it lacks, fonts of the machine.

DejaVu Sans comes with matplotlib, so pictures look alike on every machine. It has Latin, Greek, Cyrillic and Arabic
letters, but no Chinese, Japanese or Korean ones. Text that Pillow draws and text that matplotlib draws use the same
fonts. HTML pages leave the choice to the browser, which does the same.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache, lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

from mnasnet_cli import console

BASE_FAMILY = "DejaVu Sans"
# Preferred among the fonts that have a letter: a Noto font, and no bold, slanted, narrow or decorated one.
_PLAIN = re.compile(r"noto ?sans(cjk)?[-\w]*regular", re.IGNORECASE)
_ODD = re.compile(
    r"bold|italic|oblique|light|thin|black|mono|serif|condensed|narrow|medium|color|symbols", re.IGNORECASE
)
SHOWN = 6  # missing letters that the warning names


class Font:
    """A size of the fonts. Each letter is drawn in the first font that has it."""

    def __init__(self, size: int) -> None:
        """size: px."""
        self.size = size

    def getlength(self, text: str) -> float:
        """Return the width of a text, px."""
        return sum(self._font(path).getlength(part) for path, part in _parts(text))

    def getmetrics(self) -> tuple[int, int]:
        """Return the heights above and below the base line, px."""
        ascent, descent = self._font(base_font()).getmetrics()
        return int(ascent), int(descent)

    def draw(self, draw: Any, corner: tuple[float, float], text: str, fill: str) -> None:
        """Draw a text with `corner` (x, y) as its upper left corner, into an ImageDraw."""
        x, y = corner
        for path, part in _parts(text):
            font = self._font(path)
            draw.text((x, y + self.getmetrics()[0]), part, fill, font, anchor="ls")
            x += font.getlength(part)

    def _font(self, path: str) -> Any:
        return _open_font(path, self.size)


@cache
def base_font() -> str:
    """Return the file of DejaVu Sans."""
    import matplotlib

    return str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf")


def families(texts: Iterable[str]) -> list[str]:
    """Return the font families that matplotlib needs for texts, as a list for `fontfamily`."""
    from matplotlib import font_manager

    found = [BASE_FAMILY]
    for path in dict.fromkeys(path for text in texts for path, _ in _parts(text) if path != base_font()):
        family = font_manager.get_font(path).family_name
        if not any(entry.fname == path for entry in font_manager.fontManager.ttflist):
            font_manager.fontManager.addfont(path)  # installed since matplotlib made its list
        found.append(family)
    return list(dict.fromkeys(found))


def _parts(text: str) -> list[tuple[str, str]]:
    """Return a text in parts of one font each, as (file of the font, part). Control characters become visible."""
    text = console.visible(text)
    if text.isascii():
        return [(base_font(), text)] if text else []
    paths: list[str] = []
    missing: dict[str, None] = {}
    for letter in text:
        path = _font_of(letter)
        if path is None:
            missing[letter] = None
        paths.append(path or base_font())
        # A mark, a joiner and a space stay with the letter before them.
        if len(paths) > 1 and (letter == " " or unicodedata.category(letter) in ("Mn", "Me", "Cf")):
            paths[-1] = paths[-2]
    if missing:
        _warn_of(missing)
    grouped = groupby(zip(paths, text, strict=True), key=lambda pair: pair[0])
    return [(path, "".join(letter for _, letter in pairs)) for path, pairs in grouped]


@lru_cache(10_000)
def _font_of(letter: str) -> str | None:
    """Return the first font that has a letter; letters that no font shows count as those of DejaVu Sans."""
    if unicodedata.category(letter) in ("Mn", "Me", "Cc", "Cf", "Zs", "Zl", "Zp"):
        return base_font()
    return next((path for path in _fonts() if ord(letter) in letters_of(path)), None)


@cache
def _fonts() -> tuple[str, ...]:
    """Return the files of the fonts, the preferred ones first."""
    from matplotlib import font_manager

    known = sorted(set(font_manager.findSystemFonts()))
    known.sort(key=lambda path: (_ODD.search(Path(path).name) is not None, _PLAIN.match(Path(path).name) is None))
    return (base_font(), *known)


@cache
def letters_of(path: str) -> frozenset[int]:
    """Return the code points that a font has; none if it can't be read or can't be scaled."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
        return frozenset(font.get_charmap()) if font.scalable else frozenset()
    except (OSError, RuntimeError):
        return frozenset()


@lru_cache(100)
def _open_font(path: str, size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.truetype(path, size)


said = False  # whether this process has told of missing letters


def _warn_of(letters: Iterable[str]) -> None:
    """Say once in a process that letters are missing."""
    global said
    if not said:
        said = True
        shown = " ".join(list(letters)[:SHOWN])
        console.warn(
            f"no font of this machine has letters such as {shown}, so pictures show boxes in their place; install a "
            "font, such as fonts-noto-cjk on Debian and Ubuntu"
        )


def clear_caches() -> None:
    """Look for the fonts of the machine again."""
    for function in (_font_of, _fonts, letters_of):
        function.cache_clear()
