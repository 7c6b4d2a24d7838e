"""Labels on pictures stay inside them."""

from __future__ import annotations

import pytest
from PIL import Image, ImageChops

from mnasnet_cli.pages.labels import color_of_name, draw_box, draw_label, fit_text, font_for

COLOR = (0, 255, 0)


def colored(picture: Image.Image) -> tuple[int, int, int, int]:
    """The box around all pixels of the label's ground."""
    inside = ImageChops.difference(picture, Image.new("RGB", picture.size, "white")).getbbox()
    assert inside is not None
    return inside


@pytest.mark.parametrize("corner", [(0, 0), (90, 50), (200, 200), (-40, -3), (30, 99)])
def test_a_label_is_inside_whole(corner: tuple[int, int]) -> None:
    picture, font = Image.new("RGB", (100, 100), "white"), font_for((100, 100))
    draw_label(picture, corner, "parachute", "#00ff00", font)
    left, top, right, bottom = colored(picture)
    assert right - left == pytest.approx(font.getlength("parachute") + 4, abs=1)
    assert bottom - top == pytest.approx(sum(font.getmetrics()) + 2, abs=1)


def test_a_name_that_is_wider_than_the_picture_is_shortened() -> None:
    font = font_for((100, 100))
    text = fit_text("a very long name of a class indeed", font, 60)
    assert text.endswith("…")
    assert font.getlength(text) <= 60
    assert fit_text("short", font, 60) == "short"


@pytest.mark.parametrize("corners", [(-10, -10, 500, 500), (50, 50, 40, 40), (200, 200, 300, 300)])
def test_boxes_outside_or_without_area(corners: tuple[int, int, int, int]) -> None:
    picture = Image.new("RGB", (100, 100), "white")
    draw_box(picture, corners, "", "#00ff00", font_for((100, 100)))
    assert picture.getpixel((99, 99)) == COLOR or picture.getpixel((50, 50)) == COLOR


def test_a_dashed_box_has_gaps() -> None:
    picture = Image.new("RGB", (100, 100), "white")
    draw_box(picture, (10, 10, 90, 90), "", "#00ff00", font_for((100, 100)), dashed=True)
    row = {picture.getpixel((x, 10)) for x in range(12, 88)}
    assert row == {COLOR, (255, 255, 255)}


def test_the_color_depends_on_the_name_only() -> None:
    assert color_of_name("cat") == color_of_name("cat") != color_of_name("dog")
