"""What all tests share: the command line as a fixture, and a quiet TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from mnasnet_cli.quiet import silence_tensorflow

silence_tensorflow()

REPO = Path(__file__).parent.parent


class Outcome(NamedTuple):
    """What a command left: exit code, standard output and standard error."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON object and nothing else."""
        return json.loads(self.out)


@pytest.fixture
def mnasnet() -> Callable[..., Outcome]:
    """Run `mnasnet ARGS…` in this process, with the exit codes and messages that a user gets."""
    from mnasnet_cli.app import app

    def run(*args: object) -> Outcome:
        result = CliRunner().invoke(app, [str(arg) for arg in args])
        return Outcome(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def repo() -> Path:
    """The checkout."""
    return REPO
