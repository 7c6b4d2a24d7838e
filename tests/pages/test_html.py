"""The tables of pages: numbers to the right, text escaped."""

from __future__ import annotations

from mnasnet_cli.pages import html
from mnasnet_cli.pages.html import Html, code_block, fold, paragraph, render_page, table


def test_columns_of_numbers_are_aligned_to_the_right() -> None:
    text = table(("name", "share", "count"), [("a", "12.3 %", 1200), ("b", "n/a", None)])
    assert '<td class="number">12.3 %</td><td class="number">1,200</td>' in text
    assert '<td class="number">n/a</td><td class="number">n/a</td>' in text
    assert "<td>a</td>" in text
    text = table(("run", "time", "epochs"), [(html.Whole("run-1"), "1 h 12 min", "3 of 20"), ("b", "9.5 s", "20")])
    assert '<td class="number">1 h 12 min</td><td class="number">3 of 20</td>' in text
    assert '<td class="whole">run-1</td>' in text


def test_all_text_is_escaped() -> None:
    evil = "<script>&"
    page = render_page(
        evil, [paragraph(f"`{evil}` {evil}"), table((evil,), [(evil,)]), code_block(evil), fold(evil, "")]
    )
    assert "<script" not in page
    assert "<code>&lt;script&gt;&amp;</code>" in page
    assert table(("",), [(Html("<b>x</b>"),)]).count("<b>") == 1


def test_empty_sections_are_left_out() -> None:
    assert render_page("a", ["", "<p>one</p>"]).count("\n\n") == 0


def test_control_characters_are_shown() -> None:
    page = render_page("a\x1b[31m", [table(["n\udc80"], [["<b>\u202e"]]), paragraph("p\x07")])
    assert r"a\x1b[31m" in page
    assert r"n\udc80" in page
    assert r"&lt;b&gt;\u202e" in page
    assert r"p\x07" in page


def test_pairs_and_names_that_break() -> None:
    found = html.key_values([("a<b", 1234), ("c", None)])
    assert "<th>a&lt;b</th><td>1,234</td>" in found
    assert "n/a" in found
    assert html.breakable("n01_2.J<") == "n01_<wbr>2.<wbr>J&lt;"
