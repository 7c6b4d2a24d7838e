"""The errors that users see, each with the exit code of the command line."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable
from typing import Any

_LONG_WORD = re.compile(r"\S{1001,}")


class MnasnetError(Exception):
    """Base class of all errors for users. The message says what was found, what was expected and what to do next.

    A word of others in it, such as a name of 100,000 letters, is cut.
    """

    exit_code = 2

    def __init__(self, message: str = "") -> None:
        super().__init__(cut_words(message))

    def __reduce__(self) -> tuple[Any, ...]:
        """Let a worker process send the error to its parent, whatever a subclass is made of."""
        return _from_worker, (type(self), self.args, self.__dict__)


def _from_worker(kind: type[MnasnetError], args: tuple[Any, ...], state: dict[str, Any]) -> MnasnetError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class DataError(MnasnetError):
    """Input files or records are missing, damaged or of another format."""


class ConfigError(MnasnetError):
    """A flag, a configuration key or a combination of them is invalid."""


class CheckpointError(MnasnetError):
    """A checkpoint is missing, damaged or belongs to another model."""


class EnvironmentProblem(MnasnetError):
    """The machine lacks something: a library, memory, disk space or a permission."""


class CheckFailed(MnasnetError):
    """A check that the user requested failed: parity, or an accuracy threshold."""

    exit_code = 3


class Stopped(MnasnetError):
    """SIGTERM was received. Training has saved a checkpoint; record writing has kept the complete shards."""

    exit_code = 143  # 128 + SIGTERM


class StoppedByUser(Stopped):
    """Ctrl-C was pressed. Training has saved a checkpoint."""

    exit_code = 130  # 128 + SIGINT


def cut_words(text: str) -> str:
    """Return a text with its longest words cut in the middle, so that none has over 1,000 letters."""
    return _LONG_WORD.sub(lambda word: f"{word[0][:400]}…{word[0][-200:]}", text)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message without names of graph nodes, or the error's type if it is empty."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return re.sub(r"\{\{.*?\}\}\s*", "", text)


def os_error_reason(error: OSError) -> str:
    """Return the reason of an OSError in lower case, such as "no space left on device"."""
    return os.strerror(error.errno).lower() if error.errno else error.strerror or str(error)


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" with the closest of `choices`, or "" if none is close. It ends an error message."""
    by_lower = {choice.lower(): choice for choice in choices}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.5)
    return f"; did you mean '{by_lower[found[0]]}'?" if found else ""


def missing_model(model: str) -> CheckpointError:
    """Return the error for a MODEL argument that leads nowhere."""
    return CheckpointError(
        f"no model at {model}: expected a run directory, a checkpoint prefix such as "
        "runs/imagenet-b1/checkpoints/ckpt-1000, or an exported artifact"
    )
