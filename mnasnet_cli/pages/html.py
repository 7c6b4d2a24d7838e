"""The frame, the style and the tables of all HTML pages."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from html import escape as escape_markup
from typing import Any

from mnasnet_cli.console import visible

SERIES_COLORS = ("#2767c0", "#c2570c", "#2e7d4f", "#8a3fb0", "#0d7f8c", "#a33055")  # of lines and points

_PAGE = string.Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
:root { --text: #1d2329; --back: #fff; --soft: #f2f4f6; --line: #d5dbe1; --warn: #9a4a00; --bar: #3a7bd5;
  $series --cell: 39 103 192; }
@media screen and (prefers-color-scheme: dark) {
  :root { --text: #e3e8ed; --back: #14181c; --soft: #1e242a; --line: #39424b; --warn: #ffb066; --bar: #6ea8f0;
    --series-0: #6ea8f0; --series-1: #f09a5b; --series-2: #6cc492; --series-3: #c690e6; --series-4: #5fc3cf;
    --series-5: #ec8aa8; --cell: 90 150 235; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); max-width: 76rem;
  margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin-top: 2rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
.scroll { overflow-x: auto; }
.matrix tr > th:first-child { position: sticky; left: 0; }
table { border-collapse: collapse; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { background: var(--soft); }
td { overflow-wrap: break-word; max-width: 28rem; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.whole { white-space: nowrap; }
li { margin: .4rem 0; }
code { overflow-wrap: anywhere; }
code, pre { font: 13px/1.5 ui-monospace, monospace; }
pre { background: var(--soft); padding: .6rem .8rem; overflow-x: auto; }
summary { cursor: pointer; }
details pre { columns: 20rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.suspicious { color: var(--warn); font-weight: 600; }
.note { opacity: .8; }
.bar { display: block; height: .4rem; margin-top: .55rem; background: var(--bar); }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(8rem, 1fr)); gap: .6rem; }
.tiles div { background: var(--soft); padding: .5rem .6rem; }
.tiles b { display: block; font-size: 1.05rem; overflow-wrap: anywhere; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); gap: 1rem;
  margin-bottom: 1rem; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.2rem, 1fr)); gap: .8rem; }
.pictures.large { grid-template-columns: repeat(auto-fill, minmax(min(18rem, 100%), 1fr)); }
figure { margin: 0; break-inside: avoid; }
figcaption { font-size: .85rem; overflow-wrap: anywhere; }
figcaption b { display: block; }
img { max-width: 100%; height: auto; border: 1px solid var(--line); }
.pictures img { display: block; box-sizing: border-box; width: 100%; }
.pictures.large img { height: 15rem; object-fit: contain; background: var(--soft); }
svg { display: block; width: 100%; height: auto; max-width: 34rem; font: 12px system-ui, sans-serif; }
svg text { fill: var(--text); }
.matrix td, .matrix th { padding: .15rem .4rem; text-align: right; font-variant-numeric: tabular-nums; }
.matrix th.column { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left; vertical-align: bottom;
  max-height: 12rem; }
.matrix .right { outline: 1px solid var(--text); outline-offset: -1px; }
@media print {
  body { max-width: none; padding: 0; font-size: 11px; }
  .scroll { overflow: visible; }
  details::details-content { content-visibility: visible; display: block; height: auto; }
  tr, pre, figure, .matrix { break-inside: avoid; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; }
  details pre { break-inside: auto; font-size: 9px; columns: 3; }
  .pictures.large { grid-template-columns: repeat(3, 1fr); }
  .pictures.large img { height: 11rem; }
  h2, h3, h2 + p { break-after: avoid; }
  * { print-color-adjust: exact; }
}
</style>
</head>
<body>
<h1>$title</h1>
$body
</body>
</html>
""")


_NUMBER = re.compile(  # as text, with a unit; also "3 of 20" and "12 min 30 s"
    r"[-−+]?[\d,]+(\.\d+)?(e[-+]\d+)?( %| M| ms| of \d+)?|(\d+(\.\d+)? (d|h|min|s) ?)+"
)


class Html(str):
    """Text that is HTML already; all other text is escaped."""


def escape(text: str) -> str:
    """Return text of others for HTML: its markup and its control characters are shown, not obeyed."""
    return escape_markup(visible(text, keep="\n\t"))


def render_page(title: str, sections: Sequence[str]) -> str:
    """Return a page as HTML text. `sections` are HTML; empty ones are left out."""
    series = " ".join(f"--series-{number}: {color};" for number, color in enumerate(SERIES_COLORS))
    body = "\n".join(section for section in sections if section)
    return _PAGE.substitute(title=escape(title), series=series, body=body)


class Whole(str):
    """A name in a cell that is never broken into lines."""


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Html:
    """Return a table that scrolls where it is wider than the page.

    Columns of numbers are aligned to the right, also if they are text such as "12.3 %". Integers get thousands
    separators and floats four significant digits; None becomes "n/a".
    """
    numeric = [_is_numeric([row[index] for row in rows]) for index in range(len(columns))]
    head = "".join(_cell("th", name, number) for name, number in zip(columns, numeric, strict=True))
    body = "\n".join(
        f"<tr>{''.join(_cell('td', value, number) for value, number in zip(row, numeric, strict=True))}</tr>"
        for row in rows
    )
    return Html(f'<div class="scroll"><table>\n<tr>{head}</tr>\n{body}\n</table></div>')


def key_values(rows: Sequence[tuple[str, Any]]) -> Html:
    """Return a table without a head: what it is, and its value, one pair a row."""
    body = "\n".join(f"<tr><th>{escape(name)}</th>{_cell('td', value, False)}</tr>" for name, value in rows)
    return Html(f'<div class="scroll"><table>\n{body}\n</table></div>')


def breakable(text: str) -> Html:
    """Return a text, such as a file's name, that breaks behind its marks where a line is too short."""
    return Html(re.sub(r"([_/.-])", r"\1<wbr>", escape(text)))


def fold(summary: str, body: str, *, opened: bool = False) -> Html:
    """Return HTML behind a line that one clicks. `body` is HTML."""
    return Html(f"<details{' open' * opened}><summary>{escape(summary)}</summary>\n{body}\n</details>")


def paragraph(text: str, css: str = "") -> Html:
    """Return text as a paragraph; `css` is its class. What stands in backticks is code."""
    parts = [f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(escape(text).split("`"))]
    return Html(f'<p class="{css}">{"".join(parts)}</p>' if css else f"<p>{''.join(parts)}</p>")


def tiles(values: Sequence[tuple[str, str]]) -> Html:
    """Return (name, value) pairs as a row of tiles."""
    inside = "\n".join(f"<div>{escape(name)}<b>{escape(value)}</b></div>" for name, value in values)
    return Html(f'<div class="tiles">\n{inside}\n</div>')


def code_block(text: str) -> Html:
    """Return text as a block of code."""
    return Html(f"<pre>{escape(text)}</pre>")


def _is_numeric(values: Sequence[Any]) -> bool:
    numbers = [
        (isinstance(value, int | float) and not isinstance(value, bool))
        or (isinstance(value, str) and _NUMBER.fullmatch(value) is not None)
        for value in values
    ]
    known = [number for number, value in zip(numbers, values, strict=True) if value not in (None, "n/a")]
    return all(known) and bool(known)


def _cell(tag: str, value: Any, is_number: bool) -> str:
    if isinstance(value, Html):
        text = str(value)
    elif isinstance(value, float):
        text = f"{value:.4g}"
    elif isinstance(value, int) and not isinstance(value, bool):
        text = f"{value:,}"
    else:
        text = escape("n/a" if value is None else str(value))
    css = ' class="number"' if is_number else ' class="whole"' if isinstance(value, Whole) else ""
    return f"<{tag}{css}>{text}</{tag}>"
