"""All output of the program: results on standard output; messages and progress on standard error."""

from __future__ import annotations

import importlib
import json
import math
import os
import re
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

LINE_SECONDS = 10.0  # time between two lines of progress, if standard error is not a terminal
NOTEBOOK_SECONDS = 0.5  # time between two changes of the line in a notebook
WORD_END = r"\s(?!(?:%|px|MB|M)(?:\s|$))"  # where a cell may be folded: not between a number and its unit
WHOLE = ("class", "name", "category")  # heads of columns whose cells are never folded
RATE_WINDOW_SECONDS = 30.0  # the rate is the mean over this time

# What a terminal obeys or shows as nothing: control characters, marks that reverse the direction of writing, and the
# halves of surrogate pairs with which Python stands for bytes that are not UTF-8.
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_live: Console | None = None  # the console of a running progress bar, which prints messages above the bar


def _console(stream: TextIO) -> Console:
    """Return a new console, because the stream may have been redirected.

    Tables fit a terminal, or the variable COLUMNS if it is set; elsewhere they are as wide as they need.
    """
    narrow = stream.isatty() or "COLUMNS" in os.environ
    return Console(file=stream, width=None if narrow else 10_000, highlight=False, soft_wrap=True)


def _stderr() -> Console:
    return _live or _console(sys.stderr)


def visible(text: str, keep: str = "") -> str:
    """Return text of others, such as a file's name, as it may be printed: a control character is shown as \\x1b.

    keep: characters that stay, such as "\\n".
    """
    return _INVISIBLE.sub(lambda found: found[0] if found[0] in keep else _code(found[0]), text)


def _code(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def emit_json(obj: Mapping[str, Any]) -> None:
    """Write one JSON object to standard output. NaN and infinities become null."""
    emit_text(to_json(obj) + "\n")


def to_json(obj: Mapping[str, Any]) -> str:
    """Return one JSON object as text. NaN and infinities become null."""
    return json.dumps(_to_json_value(obj), allow_nan=False)


def emit_text(text: str) -> None:
    """Write text to standard output, such as CSV. Control characters are shown, but line ends and tabs stay."""
    sys.stdout.write(visible(text, keep="\r\n\t"))
    sys.stdout.flush()


def _to_json_value(value: Any) -> Any:
    """Return a value as one that JSON supports; NumPy values become numbers and lists."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _to_json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_to_json_value(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy scalars and arrays, without importing NumPy
        return _to_json_value(value.tolist())
    return str(value)


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
    out = _console(sys.stdout)
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
        _print_folded(out, Text(caption, style="dim"))


def _print_folded(out: Console, text: Text) -> None:
    """Print text, folded at blanks on a terminal. Rich would also break a path that is longer than a line."""
    if out.is_terminal:
        column, words = 0, text.plain.split(" ")
        for index, word in enumerate(words):
            column += cell_len(word) + 1
            if index and column - 1 > out.width:
                words[index - 1] += "\n"
                column = cell_len(word) + 1
        text = text.copy()
        text.plain = " ".join(words).replace("\n ", "\n")  # as long as before, so that styles stay where they are
    out.print(text)


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


def say(message: str) -> None:
    """Print a message to standard error, on one line."""
    _print_line("", message, "")


def begin(stage: str) -> None:
    """Say what the program does now, such as "building the net": nothing else is seen until it is done."""
    _print_line("", f"{stage} …", "dim")


def warn(message: str) -> None:
    """Print a warning to standard error, on one line."""
    _print_line("warning: ", message, "yellow")


def fail(message: str) -> None:
    """Print an error to standard error, on one line."""
    _print_line("error: ", message, "bold red")


def print_traceback(error: BaseException) -> None:
    """Print the traceback of an exception to standard error (`--debug`)."""
    import traceback

    _print_message(Text(visible("".join(traceback.format_exception(error)).rstrip(), keep="\n")))


def _print_line(prefix: str, message: str, style: str) -> None:
    _print_message(Text.assemble((prefix, style), visible(" ".join(message.split()))))


def _print_message(text: Text) -> None:
    """Print to standard error. Nobody may read it, or its disk may be full: that does not stop the work."""
    with suppress(OSError, ValueError):
        _print_folded(_stderr(), text)


class ProgressReport(Protocol):
    """A running progress report, from `progress`."""

    def update(self, done: int, *, left: float | None = None, **fields: str) -> None:
        """Show that `done` units are finished.

        Args:
          left: seconds until the end; None: estimated from the rate; NaN: unknown.
          fields: such as loss="1.23", shown after the rate.
        """


class _Rate:
    """The rate in units per second over the last RATE_WINDOW_SECONDS."""

    def __init__(self, done: int) -> None:
        self._points = deque([(time.monotonic(), done)])

    def add(self, done: int) -> float:
        """Add a count and return the rate, 0 if it is still unknown."""
        now = time.monotonic()
        self._points.append((now, done))
        while len(self._points) > 2 and now - self._points[0][0] > RATE_WINDOW_SECONDS:
            self._points.popleft()
        first_time, first_done = self._points[0]
        return (done - first_done) / (now - first_time) if now > first_time else 0.0


class _ProgressText:
    """The text of a progress report, for a bar and for lines."""

    def __init__(self, total: int | None, unit: str, start: int) -> None:
        self.total, self.unit, self.start, self.done = total, unit, start, start
        self.began = time.monotonic()
        self._rate = _Rate(start)

    def update(self, done: int, left: float | None, fields: Mapping[str, str]) -> str:
        self.done = done
        rate = self._rate.add(done)
        parts = [f"{done:,}/{self.total:,} {self.unit}" if self.total else f"{done:,} {self.unit}"]
        if rate > 0:
            parts.append(f"{_format_rate(rate)} {self.unit}/s")
            if left is None and self.total and done < self.total:
                left = (self.total - done) / rate
        if left is not None and left > 0:
            parts.append(f"{duration(left)} left")
        return visible(", ".join(parts + [f"{key} {value}" for key, value in fields.items()]))

    def summary(self) -> str:
        seconds = time.monotonic() - self.began
        done = self.done - self.start
        rate = f" ({_format_rate(done / seconds)} {self.unit}/s)" if seconds > 0 and done else ""
        return f"{done:,} {self.unit} in {duration(seconds)}{rate}"


class _ProgressBar:
    """Progress as a bar, on a terminal."""

    def __init__(self, bar: Progress, description: str, status: _ProgressText) -> None:
        self._bar, self._status = bar, status
        self._task = bar.add_task(description, total=status.total, completed=status.start, text="")

    def update(self, done: int, *, left: float | None = None, **fields: str) -> None:
        self._bar.update(self._task, completed=done, text=self._status.update(done, left, fields))


class _ProgressLines:
    """Progress as a line every LINE_SECONDS."""

    def __init__(self, description: str, status: _ProgressText) -> None:
        self._description, self._status = description, status
        self._last = time.monotonic()

    def update(self, done: int, *, left: float | None = None, **fields: str) -> None:
        text = self._status.update(done, left, fields)
        now = time.monotonic()
        if now - self._last >= LINE_SECONDS:
            self._last = now
            say(f"{self._description}: {text}")


class _ProgressOutput:
    """Progress in a notebook, as one line of a cell's output that changes."""

    def __init__(self, description: str, status: _ProgressText) -> None:
        display = importlib.import_module("IPython.display").display
        self._description, self._status = description, status
        self._handle = display({"text/plain": f"{description} …"}, raw=True, display_id=True)
        self._last = time.monotonic()

    def _content(self, text: str) -> dict[str, str]:
        return {"text/plain": f"{self._description}: {text}"}

    def update(self, done: int, *, left: float | None = None, **fields: str) -> None:
        text = self._status.update(done, left, fields)
        now = time.monotonic()
        if now - self._last >= NOTEBOOK_SECONDS:
            self._last = now
            self._handle.update(self._content(text), raw=True)

    def end(self) -> None:
        """Replace the line by the duration and the mean rate."""
        self._handle.update(self._content(self._status.summary()), raw=True)


def in_notebook() -> bool:
    """Return whether the program runs in the kernel of a notebook."""
    return type(sys.stderr).__module__.startswith("ipykernel.")


@contextmanager
def progress(description: str, total: int | None, unit: str = "images", *, start: int = 0) -> Iterator[ProgressReport]:
    """Show the progress of a job on standard error: as a bar on a terminal, as a line that changes in a
    notebook, else as a line every ten seconds.

    When the block ends without an error, one line with the duration and the mean rate is printed.

    Args:
        description: what the job does.
        total: number of units, None if unknown.
        unit: name of the units.
        start: number of units that were finished before, such as in a resumed run; they do not count for the rate.
    """
    global _live
    description = visible(description)
    status = _ProgressText(total, unit, start)
    if in_notebook():
        output = _ProgressOutput(description, status)
        yield output
        output.end()
        return
    if _live is not None or not sys.stderr.isatty():  # only one bar at a time
        yield _ProgressLines(description, status)
    else:
        _live = _console(sys.stderr)
        columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=30),
                   TextColumn("{task.fields[text]}", markup=False))  # fmt: skip
        try:
            with Progress(*columns, console=_live, transient=True, redirect_stdout=False) as bar:
                yield _ProgressBar(bar, description, status)
        finally:
            _live = None
    say(f"{description}: {status.summary()}")


def _format_rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}" if rate >= 1 else f"{rate:.2g}"


def duration(seconds: float) -> str:
    """Return a duration as text: "0.4 s", "12 s", "3 min 05 s", "2 h 07 min"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def short_duration(seconds: float) -> str:
    """Return a duration as text for narrow places: "0.4s", "12s", "3m05s", "2h07m"."""
    return duration(seconds).replace("min", "m").replace(" ", "")


def percent(fraction: float | None) -> str:
    """Return a fraction as a percentage with one digit, such as "82.6 %"; "n/a" for None."""
    return "n/a" if fraction is None else f"{100 * fraction:.1f} %"


def plural(count: int, unit: str, units: str | None = None) -> str:
    """Return a number with its unit, such as "1 image" or "1,200 images"; `units` is an irregular plural."""
    return f"{count:,} {unit}" if count == 1 else f"{count:,} {units or unit + 's'}"
