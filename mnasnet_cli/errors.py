"""The few kinds of error that a user can meet, each with the exit code of the command line's contract."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class MnasnetError(Exception):
    """Base of all errors that speak to the user: what was found, what was expected, what to do next."""

    exit_code = 2


class DataError(MnasnetError):
    """Input files or records are missing, damaged or not what they claim to be."""


class ConfigError(MnasnetError):
    """A flag, a configuration key or a combination of them is at fault."""


class CheckpointError(MnasnetError):
    """A checkpoint is missing, damaged or belongs to another model."""


class EnvironmentProblem(MnasnetError):
    """The machine lacks something: a library, memory, disk space or a permission."""


class CheckFailed(MnasnetError):
    """A check that the user asked for was run and failed (parity, an accuracy threshold)."""

    exit_code = 3


class Stopped(MnasnetError):
    """SIGTERM arrived, and a checkpoint was saved before stopping."""

    exit_code = 143  # 128 + SIGTERM


class StoppedByUser(Stopped):
    """Ctrl-C was pressed, and a checkpoint was saved before stopping."""

    exit_code = 130  # 128 + SIGINT


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, without the names of graph nodes; its type where it says nothing."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return re.sub(r"\{\{.*?\}\}\s*", "", text)


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" with the closest of `choices`, to end a message with, or "" if none is."""
    by_lower = {choice.lower(): choice for choice in choices}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.5)
    return f"; did you mean '{by_lower[found[0]]}'?" if found else ""
