"""What the campaign speaks of: a fault, what came of it, and the commands that faults are tried on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Fault:
    """One fault. how: everything that a kind needs to do it again, as JSON."""

    kind: str
    command: str
    number: int
    seed: int
    warm: bool  # whether the command needs TensorFlow
    how: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name that `make campaign FAULT=…` takes."""
        return f"{self.kind}/{self.command}/{self.number}"

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Fault:
        return Fault(**json.loads(text))


@dataclass
class Result:
    """What came of a fault. problems: empty if it was survived. skipped: why it could not be tried here."""

    fault: str
    kind: str
    problems: list[str]
    skipped: str = ""
    seconds: float = 0.0
    runs: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Command:
    """A command line that is run in a folder of its own.

    inputs: what is copied there. The command writes into `out/` only. again: flags that a second call needs.
    refusal: how a call after a finished one is refused, "" if it is not.
    """

    words: tuple[str, ...]
    inputs: tuple[str, ...]
    warm: bool = True
    again: tuple[str, ...] = ()
    training: bool = False
    refusal: str = ""


@dataclass(frozen=True)
class Outcome:
    """How a process ended. code: negative for a signal, None if it had to be killed because it hung."""

    code: int | None
    out: str
    err: str
    seconds: float
    cpu: float
    peak_mb: int
    killed_by_fault: bool = False


Check = Callable[[Path], None]
