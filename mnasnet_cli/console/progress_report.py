"""The progress of long jobs, on standard error."""

from __future__ import annotations

import importlib
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from rich.progress import BarColumn, Progress, TextColumn

from mnasnet_cli.console.messages import is_live, live_console, say, visible
from mnasnet_cli.console.quantities import duration, rate_text

LINE_SECONDS = 10.0  # time between two lines of progress, if standard error is not a terminal
NOTEBOOK_SECONDS = 0.5  # time between two changes of the line in a notebook
RATE_WINDOW_SECONDS = 30.0  # the rate is the mean over this time,
RATE_STEPS = 5  # or over so many steps forward, if they take longer
SLOWEST_RATE = 0.1  # units a second; below it only the time left is shown


class ProgressReport(Protocol):
    """A running progress report, from `progress`."""

    def update(self, done: int, *, left: float | None = None, **fields: str) -> None:
        """Show that `done` units are finished.

        Args:
          left: seconds until the end; None: estimated from the rate; NaN: unknown.
          fields: such as loss="1.23", shown after the rate.
        """


class _Rate:
    """The rate in units per second over the last RATE_WINDOW_SECONDS, of a slow job over the last RATE_STEPS steps."""

    def __init__(self, done: int) -> None:
        self._points = deque([(time.monotonic(), done)])

    def add(self, done: int) -> float:
        """Add a count and return the rate, 0 if it is still unknown."""
        now = time.monotonic()
        if done != self._points[-1][1]:
            self._points.append((now, done))
        while len(self._points) > RATE_STEPS + 1 and now - self._points[0][0] > RATE_WINDOW_SECONDS:
            self._points.popleft()
        (first_time, first_done), (last_time, last_done) = self._points[0], self._points[-1]
        units, steps = last_done - first_done, len(self._points) - 1
        if not steps or last_time <= first_time:
            return 0.0
        # Between two steps the rate stays what it was, until the next one is late.
        return min(units / (last_time - first_time), units * (1 + 1 / steps) / (now - first_time))


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
            if rate >= SLOWEST_RATE:
                parts.append(f"{rate_text(rate)} {self.unit}/s")
            if left is None and self.total and done < self.total:
                left = (self.total - done) / rate
        if left is not None and left > 0:
            parts.append(f"{duration(left)} left")
        return visible(", ".join(parts + [f"{key} {value}" for key, value in fields.items()]))

    def summary(self) -> str:
        seconds = time.monotonic() - self.began
        done = self.done - self.start
        is_shown = seconds > 0 and done / seconds >= SLOWEST_RATE
        rate = f" ({rate_text(done / seconds)} {self.unit}/s)" if is_shown else ""
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
    description = visible(description)
    status = _ProgressText(total, unit, start)
    if in_notebook():
        output = _ProgressOutput(description, status)
        yield output
        output.end()
        return
    if is_live() or not sys.stderr.isatty():  # only one bar at a time
        yield _ProgressLines(description, status)
    else:
        columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=30),
                   TextColumn("{task.fields[text]}", markup=False))  # fmt: skip
        with (
            live_console() as console,
            Progress(*columns, console=console, transient=True, redirect_stdout=False) as bar,
        ):
            yield _ProgressBar(bar, description, status)
    say(f"{description}: {status.summary()}")
