"""The one place that prints: results on standard output, what is said along the way on standard error."""

from __future__ import annotations

import json
import math
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

PLAIN_LINE_SECONDS = 10.0  # how often progress writes a line where there is no terminal
RATE_WINDOW_SECONDS = 30.0  # rate and time left come from this much of the recent past

_live: Console | None = None  # the console of a running progress bar: lines must pass through it, above the bar


def _console(stream: TextIO) -> Console:
    """Return a console on the stream as it is now, so that captured and redirected ones are respected."""
    # A pipe or a file has no width: never wrap what another program or a log will read.
    return Console(file=stream, width=None if stream.isatty() else 10_000, highlight=False, soft_wrap=True)


def _stderr() -> Console:
    return _live or _console(sys.stderr)


def emit_json(obj: Mapping[str, Any]) -> None:
    """Write one JSON object on standard output; NaN and infinities become null, NumPy values plain ones."""
    sys.stdout.write(json.dumps(_plain(obj), allow_nan=False) + "\n")
    sys.stdout.flush()


def emit_text(text: str) -> None:
    """Write text on standard output as it is: lines of CSV, for other programs."""
    sys.stdout.write(text)
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    """Turn a value into what JSON knows."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy scalars and arrays, without importing NumPy
        return _plain(value.tolist())
    return str(value)


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, caption: str | None = None
) -> None:
    """Print a table on standard output.

    Integers get thousands separators, floats four significant digits, None and NaN are "n/a"; strings stay as
    they are. Columns that hold only numbers are aligned to the right.
    """
    table = Table()
    for index, name in enumerate(columns):
        cells = [row[index] for row in rows]
        numeric = any(_is_number(cell) for cell in cells) and all(cell is None or _is_number(cell) for cell in cells)
        table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    out = _console(sys.stdout)
    out.print(Text(title, style="bold"))
    out.print(table, soft_wrap=False)
    if caption:
        out.print(Text(caption, style="dim"))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value: object) -> str:
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
    """Tell something on standard error, on one line."""
    _line("", message, "")


def warn(message: str) -> None:
    """Warn on standard error, on one line."""
    _line("warning: ", message, "yellow")


def fail(message: str) -> None:
    """Report an error on standard error, on one line."""
    _line("error: ", message, "bold red")


def say_exception(error: BaseException) -> None:
    """Write an exception's whole traceback on standard error (what `--debug` asks for)."""
    import traceback

    _stderr().print(Text("".join(traceback.format_exception(error)).rstrip()))


def _line(prefix: str, message: str, style: str) -> None:
    _stderr().print(Text.assemble((prefix, style), " ".join(message.split())))


class ProgressReport(Protocol):
    """What `progress` yields."""

    def update(self, done: int, **fields: str) -> None:
        """Report that `done` units in all are finished; `fields` such as loss="1.23" are shown as well."""


class _Rate:
    """Units per second over the recent past."""

    def __init__(self, done: int) -> None:
        self._points = deque([(time.monotonic(), done)])

    def add(self, done: int) -> float:
        """Record a count and return the rate, 0 while it is unknown."""
        now = time.monotonic()
        self._points.append((now, done))
        while len(self._points) > 2 and now - self._points[0][0] > RATE_WINDOW_SECONDS:
            self._points.popleft()
        first_time, first_done = self._points[0]
        return (done - first_done) / (now - first_time) if now > first_time else 0.0


class _Status:
    """The text of a progress report, the same for a terminal's bar and for plain lines."""

    def __init__(self, total: int | None, unit: str, start: int) -> None:
        self.total, self.unit, self.start, self.done = total, unit, start, start
        self.began = time.monotonic()
        self._rate = _Rate(start)

    def text(self, done: int, fields: Mapping[str, str]) -> str:
        self.done = done
        rate = self._rate.add(done)
        parts = [f"{done:,}/{self.total:,} {self.unit}" if self.total else f"{done:,} {self.unit}"]
        if rate > 0:
            parts.append(f"{_short(rate)} {self.unit}/s")
            if self.total and done < self.total:
                parts.append(f"{duration((self.total - done) / rate)} left")
        return ", ".join(parts + [f"{key} {value}" for key, value in fields.items()])

    def summary(self) -> str:
        seconds = time.monotonic() - self.began
        done = self.done - self.start
        rate = f" ({_short(done / seconds)} {self.unit}/s)" if seconds > 0 and done else ""
        return f"{done:,} {self.unit} in {duration(seconds)}{rate}"


class _Bar:
    """Progress as a bar on a terminal."""

    def __init__(self, bar: Progress, description: str, status: _Status) -> None:
        self._bar, self._status = bar, status
        self._task = bar.add_task(description, total=status.total, completed=status.start, text="")

    def update(self, done: int, **fields: str) -> None:
        self._bar.update(self._task, completed=done, text=self._status.text(done, fields))


class _Lines:
    """Progress as a line every few seconds."""

    def __init__(self, description: str, status: _Status) -> None:
        self._description, self._status = description, status
        self._last = time.monotonic()

    def update(self, done: int, **fields: str) -> None:
        text = self._status.text(done, fields)
        now = time.monotonic()
        if now - self._last >= PLAIN_LINE_SECONDS:
            self._last = now
            say(f"{self._description}: {text}")


@contextmanager
def progress(description: str, total: int | None, unit: str = "images", *, start: int = 0) -> Iterator[ProgressReport]:
    """Show how far a job has come, with rate and time left, on standard error.

    A bar where that is a terminal, elsewhere a plain line about every ten seconds; one line at the end.
    `start` is the count that a resumed job begins with, so that its rate is true from the first second.
    """
    global _live
    status = _Status(total, unit, start)
    if _live is not None or not sys.stderr.isatty():  # a second bar inside a running one would fight over the screen
        yield _Lines(description, status)
    else:
        _live = _console(sys.stderr)
        columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=30),
                   TextColumn("{task.fields[text]}", markup=False))  # fmt: skip
        try:
            with Progress(*columns, console=_live, transient=True, redirect_stdout=False) as bar:
                yield _Bar(bar, description, status)
        finally:
            _live = None
    say(f"{description}: {status.summary()}")


def _short(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}" if rate >= 1 else f"{rate:.2g}"


def duration(seconds: float) -> str:
    """Say a time span as people do: "0.4 s", "12 s", "3 min 05 s", "2 h 07 min"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
