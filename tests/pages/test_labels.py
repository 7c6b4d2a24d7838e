"""Labels on pictures stay inside them."""

from __future__ import annotations

import pytest
from PIL import Image, ImageChops

from mnasnet_cli.pages.labels import Box, color_of_name, draw_boxes, draw_label, fit_text, font_for

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
    assert text.startswith("a")
    assert "…" in text
    assert text.endswith("d")  # the end of a file's name tells it from others
    assert font.getlength(text) <= 60
    assert len(fit_text("x" * 100_000, font, 10_000)) <= 200
    assert fit_text("short", font, 60) == "short"


@pytest.mark.parametrize("corners", [(-10, -10, 500, 500), (50, 50, 40, 40), (200, 200, 300, 300)])
def test_boxes_outside_or_without_area(corners: tuple[int, int, int, int]) -> None:
    picture = Image.new("RGB", (100, 100), "white")
    draw_boxes(picture, [Box(corners, "", "#00ff00")], font_for((100, 100)))
    assert picture.getpixel((99, 99)) == COLOR or picture.getpixel((50, 50)) == COLOR


def test_a_dashed_box_has_gaps() -> None:
    picture = Image.new("RGB", (100, 100), "white")
    draw_boxes(picture, [Box((10, 10, 90, 90), "", "#00ff00", dashed=True)], font_for((100, 100)))
    row = {picture.getpixel((x, 10)) for x in range(12, 88)}
    assert row == {COLOR, (255, 255, 255)}


def test_the_color_depends_on_the_name_only() -> None:
    assert color_of_name("cat") == color_of_name("cat") != color_of_name("dog")


def grounds(boxes: list[Box]) -> Image.Image:
    """A white picture of 200 × 200 px with boxes whose lines can't be seen."""
    picture = Image.new("RGB", (200, 200), "white")
    draw_boxes(picture, boxes, font_for(picture.size))
    return picture


def test_texts_never_cover_each_other() -> None:
    first = Box((20, 60, 150, 150), "cat 0.9", "#00ff00", line=1)
    alone = grounds([first])
    second = Box((22, 62, 148, 148), "dog 0.8", "#ff0000", line=1)
    both = grounds([first, second])
    label = (20, 43, 60, 59)  # above the first box
    assert ImageChops.difference(alone.crop(label), both.crop(label)).getbbox() is None
    red = sum(pixel == (255, 0, 0) for pixel in both.get_flattened_data())
    assert red > 600  # its ground is elsewhere at its box


def test_a_text_without_a_free_place_is_left_out() -> None:
    boxes = [Box((50, 50, 60, 60), f"name {number}", "#00ff00") for number in range(40)]
    green = sum(pixel == (0, 255, 0) for pixel in grounds(boxes).get_flattened_data())
    assert 0 < green < 12_000


@pytest.mark.parametrize("size", [(10_000, 20), (20, 10_000), (8, 8), (300, 200)])
def test_fonts_fit_long_and_tiny_pictures(size: tuple[int, int]) -> None:
    assert font_for(size).size == 12
