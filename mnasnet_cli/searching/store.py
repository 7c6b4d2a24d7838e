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
from typing import Any, Protocol

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
        self._run_dir, self._folder = run_dir, run_dir / RESULTS_FOLDER
        self._known: dict[str, Any] = {}

    def load_plan(self) -> dict[str, Any] | None:
        """See `Store`. Raises Unreadable if the file is damaged."""
        try:
            return read_json(self._run_dir / PLAN_FILE, JsonObject, "start over with --fresh")
        except Missing:
            return None

    def begin(self, plan: Mapping[str, Any]) -> dict[str, Any]:
        """See `Store`."""
        make_folder(self._folder)
        make_folder(self._run_dir / CLAIMS_FOLDER)
        while (stored := self.load_plan()) is None:
            lock = open_lock(self._run_dir / CLAIMS_FOLDER / "plan.lock")
            if lock is None:  # another process is just beginning the search
                time.sleep(0.2)
                continue
            with lock:
                if self.load_plan() is None:
                    write_atomically(self._run_dir / PLAN_FILE, _text(plan))
        return stored

    def is_idle_before_trainings(self) -> bool:
        """Return whether nothing was trained yet and no other process works here."""
        if any(rung_of(key) is not None for key in self.results()):
            return False
        for path in (self._run_dir / CLAIMS_FOLDER).glob("*.lock"):
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
                remedy = f"remove {path}; its task is then done again"
                self._known[path.stem] = read_result(path.stem, read_json(path, JsonObject, remedy), path, remedy)
        return self._known

    @contextlib.contextmanager
    def claim(self, task: Task) -> Iterator[bool]:
        """See `Store`."""
        lock = open_lock(self._run_dir / CLAIMS_FOLDER / f"{task.key}.lock")
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


def _text(plan: Mapping[str, Any]) -> str:
    return json.dumps(plan, indent=2) + "\n"
