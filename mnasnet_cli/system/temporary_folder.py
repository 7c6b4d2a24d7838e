"""A temporary folder of one process, which is also removed after the process was killed."""

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


class TemporaryFolder:
    """A folder of this process in the system's temporary folder.

    The process locks a file in its folder. The system releases the lock when the process ends, even if it is killed.
    Creating a TemporaryFolder removes the folders that nobody locks any more.
    """

    def __init__(self) -> None:
        parent = Path(tempfile.gettempdir())
        for folder in parent.glob(f"{PREFIX}*"):
            _remove_abandoned(folder)
        # Other processes look for PREFIX: the folder gets this name only after it is locked.
        created = Path(tempfile.mkdtemp(prefix=f"new-{PREFIX}"))
        self._lock = _try_lock_folder(created)
        self.path = created.rename(parent / created.name.removeprefix("new-"))

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock:
            self._lock.close()


def _remove_abandoned(folder: Path) -> None:
    """Remove a folder if it belongs to this user and no process has locked it."""
    try:
        status = folder.lstat()
    except FileNotFoundError:  # its process has just ended
        return
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        return
    lock = _try_lock_folder(folder)
    if lock:
        shutil.rmtree(folder, ignore_errors=True)
        lock.close()


def _try_lock_folder(folder: Path) -> IO[str] | None:
    """Return the locked file, or None if another process holds the lock or the folder is gone."""
    try:
        file = (folder / LOCK_FILE).open("w")
    except OSError:
        return None
    if not try_lock(file):
        file.close()
        return None
    return file
