"""What commands leave: the line of an error, and the numbers of a detector."""

from __future__ import annotations

from typing import Any

AP_NUMBERS = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large")


def error_of(outcome: Any) -> str:
    """The line of an error that is all that the command said, but for what it was doing."""
    line = last_error_of(outcome)
    assert outcome.lines == [line], outcome.err
    return line


def last_error_of(outcome: Any) -> str:
    """The line of an error at the end; there may be lines of progress before it."""
    assert outcome.code == 2, outcome.err
    assert outcome.out == "", outcome.out
    line = str(outcome.err.splitlines()[-1])
    assert line.startswith("error: "), line
    return line
