"""Letters of any script are drawn in a font that has them, or said to be missing once."""

from __future__ import annotations

import pytest
from matplotlib import font_manager
from PIL import Image, ImageDraw

from mnasnet_cli.pages import fonts
from mnasnet_cli.pages.fonts import BASE_FAMILY, Font, base_font, families

MISSING = "\U0003134f"  # no font has it: it is not assigned


def drawn(text: str) -> bytes:
    picture = Image.new("L", (200, 30), "white")
    Font(14).draw(ImageDraw.Draw(picture), (0, 0), text, "black")
    return picture.tobytes()


def test_other_scripts_than_latin_are_drawn() -> None:
    pictures = {drawn(text) for text in ("dog", "собака", "σκύλος", "كلب", MISSING)}
    assert len(pictures) == 5
    assert Font(14).getlength("собака") > Font(14).getlength("соба") > 0
    assert families(["dog", "собака", ""]) == [BASE_FAMILY]


def test_control_characters_are_visible() -> None:
    assert drawn("a\nb\x00\ud800") == drawn("a\\x0ab\\x00\\ud800")


def test_missing_letters_are_said_once(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "said", False)
    for _ in range(3):
        assert families([f"a{MISSING}b"]) == [BASE_FAMILY]
        Font(14).getlength(MISSING)
    said = capsys.readouterr().err
    assert said.count("no font") == 1
    assert MISSING in said


def test_a_font_of_the_machine_has_the_letters_that_the_base_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    other = base_font().replace("DejaVuSans.ttf", "STIXGeneral.ttf")
    letter = min(filter(str.isalpha, map(chr, fonts.letters_of(other) - fonts.letters_of(base_font()))))
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [other])
    fonts.clear_caches()
    try:
        assert families([f"{letter} dog"]) == [BASE_FAMILY, "STIXGeneral"]
        found = drawn(letter)
    finally:
        monkeypatch.undo()
        fonts.clear_caches()
    assert found != drawn(MISSING)
