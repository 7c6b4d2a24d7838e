"""The two streams: results on standard output; messages on standard error, above a progress bar."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from mnasnet_cli.errors import cut_words

# What a terminal obeys or shows as nothing: control characters, marks that reverse the direction of writing, and the
# halves of surrogate pairs with which Python stands for bytes that are not UTF-8.
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_live: Console | None = None  # the console of a running progress bar, which prints messages above the bar


def console_of(stream: TextIO) -> Console:
    """Return a new console, because the stream may have been redirected.

    Tables fit a terminal, or the variable COLUMNS if it is set; elsewhere they are as wide as they need.
    """
    narrow = stream.isatty() or "COLUMNS" in os.environ
    return Console(file=stream, width=None if narrow else 10_000, highlight=False, soft_wrap=True)


def _stderr() -> Console:
    return _live or console_of(sys.stderr)


@contextmanager
def live_console() -> Iterator[Console]:
    """Yield a console on standard error for a progress bar; meanwhile messages are printed above the bar."""
    global _live
    _live = console_of(sys.stderr)
    try:
        yield _live
    finally:
        _live = None


def is_live() -> bool:
    """Return whether a progress bar is running."""
    return _live is not None


def visible(text: str, keep: str = "") -> str:
    """Return text of others, such as a file's name, as it may be printed: a control character is shown as \\x1b.

    keep: characters that stay, such as "\\n".
    """
    return _INVISIBLE.sub(lambda found: found[0] if found[0] in keep else _code(found[0]), text)


def _code(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def _fold(line: str, width: int) -> str:
    """Return the line with the blanks replaced by line ends before the words that would reach beyond the width."""
    first, *words = line.split(" ")
    folded, column = first, cell_len(first)
    for word in words:
        length = cell_len(word)
        fits = column + 1 + length <= width
        folded += (" " if fits else "\n") + word
        column = column + 1 + length if fits else length
    return folded


def print_folded(out: Console, text: Text) -> None:
    """Print text, folded at blanks on a terminal. Rich would also break a path that is longer than a line."""
    if out.is_terminal:
        text = text.copy()
        # As long as before, so that the styles stay where they are.
        text.plain = "\n".join(_fold(line, out.width) for line in text.plain.split("\n"))
    out.print(text)


def say(message: str) -> None:
    """Print a message to standard error, on one line."""
    _print_line("", message, "")


def begin(stage: str) -> None:
    """Say what the program does now, such as "building the net": nothing else is seen until it is done."""
    _print_line("", f"{stage} …", "dim")


def warn(message: str) -> None:
    """Print a warning to standard error, on one line."""
    _print_line("warning: ", message, "yellow")


@cache
def warn_once(message: str) -> None:
    """Print a warning that this process has not printed yet: a file may be read several times."""
    warn(message)


def fail(message: str) -> None:
    """Print an error to standard error, on one line."""
    _print_line("error: ", message, "bold red")


def print_traceback(error: BaseException) -> None:
    """Print the traceback of an exception to standard error (`--debug`)."""
    import traceback

    _print_message(Text(visible("".join(traceback.format_exception(error)).rstrip(), keep="\n")))


def _print_line(prefix: str, message: str, style: str) -> None:
    _print_message(Text.assemble((prefix, style), visible(cut_words(" ".join(message.split())))))


def _print_message(text: Text) -> None:
    """Print to standard error. Nobody may read it, or its disk may be full: that does not stop the work."""
    with suppress(OSError, ValueError):
        print_folded(_stderr(), text)
