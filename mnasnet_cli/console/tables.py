"""Tables on standard output."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Sequence

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from mnasnet_cli.console.messages import console_of, print_folded, visible

WORD_END = r"\s(?!(?:%|px|MB|M)(?:\s|$))"  # where a cell may be folded: not between a number and its unit
WHOLE = ("class", "name", "category")  # heads of columns whose cells are never folded


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, caption: str | None = None
) -> None:
    """Print a table to standard output.

    Integers get thousands separators and floats four significant digits. None and NaN become "n/a". Columns of numbers
    are aligned to the right. Cells are folded at blanks to fit the terminal; a name or a path is never broken, even if
    the table becomes wider than the terminal.
    """
    cells = [[row[index] for row in rows] for index in range(len(columns))]
    numeric = [any(map(_is_number, column)) and all(cell is None or _is_number(cell) for cell in column)
               for column in cells]  # fmt: skip
    _print_table(title, columns, rows, numeric, caption)


def print_transposed(
    title: str, names: Sequence[str], facts: Sequence[Sequence[object]], *, caption: str | None = None
) -> None:
    """Print many facts about a few things, such as splits: a column for each thing, a row for each fact.

    Args:
      names: of the things.
      facts: what each row is about, then the value of each thing.
    """
    _print_table(title, ["", *names], facts, [False, *[True] * len(names)], caption)


def _print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], right: Sequence[bool], caption: str | None
) -> None:
    """Print a table; `right` says which columns are aligned to the right."""
    out = console_of(sys.stdout)
    texts = [[visible(_format_cell(value), keep="\n") for value in row] for row in rows]
    columns, title, caption = [visible(name) for name in columns], visible(title), visible(caption or "", keep="\n")
    by_column = [[row[index] for row in texts] for index in range(len(columns))]
    borders = 3 * len(columns) + 1
    widths = _fit([_width([name, *cells], "\n") for name, cells in zip(columns, by_column, strict=True)],
                  [max(_width([name], WORD_END), _width(cells, "\n" if name in WHOLE else WORD_END))
                   for name, cells in zip(columns, by_column, strict=True)], out.width - borders)  # fmt: skip
    table = Table()
    for name, width, is_right in zip(columns, widths, right, strict=True):
        table.add_column(Text(name), justify="right" if is_right else "left", overflow="fold", width=width)
    for row in texts:
        table.add_row(*map(Text, row))
    out.print(Text(title, style="bold"))
    out.width = max(out.width, sum(widths) + borders)
    out.print(table, soft_wrap=False)
    if caption:
        print_folded(out, Text(caption, style="dim"))


def class_columns(
    classes: Sequence[tuple[object, object]], heads: tuple[str, str] = ("class", "name")
) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """Return the heads and the cells of the columns of classes: one column where labels and names are alike.

    Args:
      classes: label and name of each class.
      heads: of the two columns.
    """
    if all(str(label) == str(name) or not str(name) for label, name in classes):
        return heads[:1], [(label,) for label, _ in classes]
    return heads, list(classes)


def _width(cells: Sequence[str], separator: str) -> int:
    """Return the columns on the screen that the longest part between separators needs."""
    return max((cell_len(part) for cell in cells for part in re.split(separator, cell)), default=0)


def _fit(widths: Sequence[int], least: Sequence[int], available: int) -> list[int]:
    """Return the widths, the widest first made narrower until they fit or all are at their least."""
    fitted = list(widths)
    while sum(fitted) > available:
        reducible = [index for index, width in enumerate(fitted) if width > least[index]]
        if not reducible:
            break
        fitted[max(reducible, key=fitted.__getitem__)] -= 1
    return fitted


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _format_cell(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "n/a"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
