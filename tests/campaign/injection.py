"""Faults inside the child: at a moment when the program touches its output folder.

A moment is an audit event of Python (a file opened for writing, a rename, a removal, a new folder) or an fsync, with a
path in `out/`. The program has no hook for this.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
EVENTS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink"}


class _Moments:
    """Counts the moments of this process, and acts at one of them."""

    def __init__(self, spec: dict[str, Any], place: Path) -> None:
        self._spec, self._place = spec, place
        self._root = os.fspath(place / "out")
        self._pid, self._count, self._busy = os.getpid(), 0, False
        self._real_fsync = os.fsync
        os.fsync = self._fsync

    def _fsync(self, file: Any) -> None:
        number = file if isinstance(file, int) else file.fileno()
        with contextlib.suppress(OSError):
            self._moment("fsync", os.readlink(f"/proc/self/fd/{number}"))
        self._real_fsync(file)

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        """The audit hook. What it raises, the audited call raises."""
        if self._busy or os.getpid() != self._pid:
            return
        if event == "open":
            path, mode, flags = arguments
            writes = bool(flags & WRITING) if isinstance(flags, int) else any(char in str(mode) for char in "wax+")
            if not writes:
                return
        elif event in EVENTS:
            path = arguments[1] if event == "os.rename" else arguments[0]
        else:
            return
        self._moment(event, path)

    def _moment(self, event: str, path: Any) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return
        full = os.path.normpath(os.path.join(self._place, os.fsdecode(path)))
        if not full.startswith(self._root):
            return
        self._busy = True
        try:
            count, self._count = self._count, self._count + 1
            if "record" in self._spec:
                with open(self._spec["record"], "a") as file:
                    file.write(f"{event} {os.path.relpath(full, self._root)}\n")
            if count == self._spec.get("at"):
                self._act(full)
        finally:
            self._busy = False

    def _act(self, path: str) -> None:
        action = self._spec["action"]
        if action == "die":  # the process ends here, without any clean-up
            os.kill(os.getpid(), signal.SIGKILL)
        elif action == "die-soon":  # in the middle of what follows: SIGALRM's default ends the process as a kill does
            signal.setitimer(signal.ITIMER_REAL, self._spec["delay"])
        elif action == "signal":
            os.kill(os.getpid(), self._spec["signal"])
        elif action == "error":
            raise OSError(self._spec["errno"], os.strerror(self._spec["errno"]), path)
        elif action == "remove":
            target = self._place / self._spec["path"]
            shutil.rmtree(target, ignore_errors=True)
        elif action == "move":
            target = self._place / self._spec["path"]
            if target.exists():
                target.rename(self._place / "moved")
        elif action == "clock":
            _shift_clock(self._spec["seconds"])
        else:
            raise ValueError(action)


def _shift_clock(seconds: float) -> None:
    real = time.time
    time.time = lambda: real() + seconds


def _hurry() -> None:
    """Shorten the waits for servers, and lower what may be downloaded."""
    from mnasnet_cli.weights import download, http

    http.TIMEOUT_SECONDS = 1.0
    download.RETRY_SECONDS = (0.1, 0.2, 0.3)
    download.MAX_BYTES = 20_000_000


def install(spec: dict[str, Any], place: Path) -> None:
    """Install an injection in this process. An empty one does nothing."""
    if not spec:
        return
    if spec.get("action") == "hurry":
        _hurry()
        return
    if spec.get("action") == "clock" and spec.get("at") is None:
        _shift_clock(spec["seconds"])
        return
    sys.addaudithook(_Moments(spec, place).hook)
