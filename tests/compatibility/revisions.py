"""The two sides of a comparison: the code of a revision, and a folder in which its commands run."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

REPO = Path(__file__).parents[2]


class CommandFailed(Exception):
    """A command of one side ended with another exit code than 0."""


class Side:
    """Runs the toolkit of one revision. PYTHONPATH alone decides whose code runs.

    Commands run in `folder` and name files by relative paths, so that what they write holds no path that differs
    between the sides.
    """

    def __init__(self, name: str, code: Path, folder: Path):
        self.name, self.code, self.folder = name, code, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "commands.log"
        self._environment = {**os.environ, "PYTHONPATH": str(code), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}
        place = self._python("-c", "import mnasnet_cli; print(mnasnet_cli.__file__)").strip()
        assert Path(place).is_relative_to(code), f"{place} is not the code of {name}"

    def run(self, *arguments: object) -> str:
        """Standard output of `mnasnet ARGUMENTS`."""
        return self._python("-m", "mnasnet_cli", *map(str, arguments))

    def json(self, *arguments: object) -> Any:
        return json.loads(self.run(*arguments, "--json"))

    def run_until(self, ready: Callable[[], bool], how: signal.Signals, *arguments: object) -> None:
        """Starts a command and ends it by a signal once `ready()` is true."""
        with self.log.open("a") as log:
            command = [sys.executable, "-m", "mnasnet_cli", *map(str, arguments)]
            self._note(command)
            process = subprocess.Popen(command, cwd=self.folder, env=self._environment, stdout=log, stderr=log)
            while not ready():
                if process.poll() is not None:
                    raise CommandFailed(f"{self.name}: `{' '.join(command[2:])}` ended early; see {self.log}")
                time.sleep(0.01)
            process.send_signal(how)
            process.wait()

    def _python(self, *arguments: str) -> str:
        with self.log.open("a") as log:
            command = [sys.executable, *arguments]
            self._note(command)
            result = subprocess.run(
                command,
                cwd=self.folder,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                check=False,
            )
        if result.returncode:
            words = " ".join(arguments[1:])
            raise CommandFailed(f"{self.name}: `{words}` ended with exit code {result.returncode}; see {self.log}")
        return result.stdout

    def _note(self, command: list[str]) -> None:
        with self.log.open("a") as log:
            log.write(f"$ {' '.join(command[1:])}\n")


def commit_of(revision: str) -> str:
    return _git("rev-parse", "--verify", f"{revision}^{{commit}}").strip()


@contextlib.contextmanager
def code_of(revision: str | None) -> Iterator[Path]:
    """A folder with the code of a revision, for the time of a block; None: this checkout as it is."""
    if revision is None:
        yield REPO
        return
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder).resolve() / "code"
        _git("worktree", "add", "--detach", str(place), commit_of(revision))
        try:
            yield place
        finally:
            _git("worktree", "remove", "--force", str(place))


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=REPO, capture_output=True, text=True, check=True).stdout
