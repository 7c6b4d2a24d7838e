"""Sheets of pictures: rows without gaps, captions and legends whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from mnasnet_cli.pages.sheets import GAP, draw_sheet, save_sheet

PHOTO = Image.new("RGB", (40, 20), "red")


@pytest.mark.parametrize(("count", "columns", "rows"), [(1, 1, 1), (4, 4, 1), (5, 4, 2), (9, 3, 3)])
def test_rows_are_as_high_as_their_pictures(count: int, columns: int, rows: int) -> None:
    sheet = draw_sheet([PHOTO] * count, ["one line"] * count, columns=columns, tile=400)
    assert sheet.width == columns * (400 + GAP) + GAP
    assert (200 + 15) * rows < sheet.height < (200 + 40) * rows


def test_an_empty_sheet_and_a_long_legend(tmp_path: Path) -> None:
    legend = [("lime", f"meaning number {number}") for number in range(9)]
    short = draw_sheet([], [], columns=4, tile=100)
    sheet = draw_sheet([], [], columns=4, tile=100, legend=legend, title="a title that is wider than the sheet " * 5)
    assert sheet.width == short.width
    assert sheet.height > short.height + 9 * 12  # in several lines
    save_sheet(sheet, tmp_path / "sheet.png")
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]


def test_captions_have_the_lines_that_they_need() -> None:
    one, three = (draw_sheet([PHOTO], [text], columns=1, tile=320).height for text in ("a", "a\nb\nc $x$"))
    assert three > one + 20
