"""A temporary folder for files that a process has to write but nobody reads."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import IO

from mnasnet_cli.system.files import try_lock

PREFIX = "mnasnet-worker-"
LOCK_FILE = "lock"


class Scratch:
    """A folder of this process's own, among the system's temporary ones; making it removes those of killed processes.

    As long as a process runs it holds a lock in its folder, which the system takes back however the process ends.
    """

    def __init__(self) -> None:
        home = Path(tempfile.gettempdir())
        for folder in home.glob(f"{PREFIX}*"):
            _remove_left_over(folder)
        made = Path(tempfile.mkdtemp(prefix=f"new-{PREFIX}"))
        self._lock = _lock(made)  # before the folder has the name that others look for
        self.path = made.rename(home / made.name.removeprefix("new-"))

    def remove(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock:
            self._lock.close()


def _remove_left_over(folder: Path) -> None:
    """Removes a folder that is this user's and that no process holds."""
    try:
        status = folder.lstat()
    except FileNotFoundError:  # its process has just ended
        return
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        return
    lock = _lock(folder)
    if lock:
        shutil.rmtree(folder, ignore_errors=True)
        lock.close()


def _lock(folder: Path) -> IO[str] | None:
    """Locks a folder for this process; None where another has it."""
    try:
        file = (folder / LOCK_FILE).open("w")
    except OSError:  # it is gone by now
        return None
    if not try_lock(file):
        file.close()
        return None
    return file
