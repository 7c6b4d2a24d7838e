"""Where a search keeps what it has found, and which process does what: a folder, or a store that machines share.

A task is done once: the first result of its key counts. Results are never changed, so what is drawn and who goes on
follow from them alone, in whatever order and by whichever process they came.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Protocol

from mnasnet_cli.searching.tasks import Task, read_result, rung_of
from mnasnet_cli.system.documents import JsonObject, Missing, read_json
from mnasnet_cli.system.files import make_folder, open_lock, write_atomically

RESULTS_FOLDER, CLAIMS_FOLDER = "results", ".claims"
PLAN_FILE = "search.json"


class Store(Protocol):
    """Results and claims of one search."""

    def load_plan(self) -> dict[str, Any] | None:
        """Return the plan; None if the search has not begun."""

    def begin(self, plan: Mapping[str, Any]) -> dict[str, Any]:
        """Store the plan, and return the one that is stored: another process may have been first."""

    def results(self) -> Mapping[str, Any]:
        """Return the results so far by the keys of their tasks."""

    def claim(self, task: Task) -> contextlib.AbstractContextManager[bool]:
        """Return a block in which no other process works on the task; it yields False if another one does already.

        The claim of a process that dies ends by itself.
        """

    def put(self, task: Task, result: Mapping[str, Any]) -> None:
        """Store the result of a task that this process has claimed."""

    def close(self) -> None:
        """Release what the store holds."""


class FolderStore:
    """The search's own folder, for one machine: a file for each result, a locked file for each claim."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir, self._folder, self._claims = run_dir, run_dir / RESULTS_FOLDER, run_dir / CLAIMS_FOLDER
        self._known: dict[str, Any] = {}

    def load_plan(self) -> dict[str, Any] | None:
        """See `Store`. Raises Unreadable if the file is damaged."""
        try:
            return read_json(self._run_dir / PLAN_FILE, JsonObject, "start over with --fresh")
        except Missing:
            return None

    def begin(self, plan: Mapping[str, Any]) -> dict[str, Any]:
        """See `Store`."""
        while (stored := self.load_plan()) is None:
            lock = self._lock("plan")
            if lock is None:  # another process is just beginning the search
                time.sleep(0.2)
                continue
            with lock:
                if self.load_plan() is None:
                    write_atomically(self._run_dir / PLAN_FILE, _text(plan))
        return stored

    def has_trainings(self) -> bool:
        """Return whether any net was trained."""
        return any(rung_of(path.stem) is not None for path in self._folder.glob("*.json"))

    def is_idle(self) -> bool:
        """Return whether no other process works here."""
        for path in self._claims.glob("*.lock"):
            lock = open_lock(path)
            if lock is None:
                return False
            lock.close()
        return True

    def replace_plan(self, plan: Mapping[str, Any]) -> None:
        """Store another plan, of a search that is idle before its trainings. Their speed is of the old one."""
        for path in self._folder.glob("time-*.json"):
            self._known.pop(path.stem, None)
            path.unlink(missing_ok=True)
        write_atomically(self._run_dir / PLAN_FILE, _text(plan))

    def results(self) -> Mapping[str, Any]:
        """See `Store`. Raises Unreadable if a file is damaged."""
        for path in sorted(self._folder.glob("*.json")) if self._folder.is_dir() else ():
            if path.stem not in self._known:
                remedy = self._remedy(path)
                self._known[path.stem] = read_result(path.stem, read_json(path, JsonObject, remedy), path, remedy)
        return self._known

    @contextlib.contextmanager
    def claim(self, task: Task) -> Iterator[bool]:
        """See `Store`."""
        lock = self._lock(task.key)
        if lock is None:
            yield False
            return
        with lock:
            # Another process may have finished it between our look at the results and the claim.
            yield not (self._folder / f"{task.key}.json").exists()

    def put(self, task: Task, result: Mapping[str, Any]) -> None:
        """See `Store`."""
        write_atomically(self._folder / f"{task.key}.json", json.dumps(result) + "\n")

    def close(self) -> None:
        """See `Store`."""

    def _lock(self, name: str) -> IO[Any] | None:
        for folder in (self._folder, self._claims):  # a copy of a search may lack the hidden one
            make_folder(folder)
        return open_lock(self._claims / f"{name}.lock")

    def _remedy(self, path: Path) -> str:
        """Return what to do about a damaged result. The widths of trained nets follow from what was measured."""
        if rung_of(path.stem) is None and self.has_trainings():
            return "start over with --fresh"
        return f"remove {path}; its task is then done again"


def _text(plan: Mapping[str, Any]) -> str:
    return json.dumps(plan, indent=2) + "\n"
