"""Files that are written whole or not at all, and that one process writes at a time."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from mnasnet_cli.errors import EnvironmentProblem


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A name to write a file under, which takes the place of `path` once that is done.

    Raises:
      EnvironmentProblem: it can't be written; nothing is left of it then.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
    """Writes a text file whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def append_whole(path: Path, text: str) -> None:
    """Appends to a file, all of the text or nothing of it."""
    data = text.encode()
    with open(path, "ab", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        try:
            if file.write(data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            file.truncate(size)
            raise _unwritable(path, error) from error


def try_lock(file: IO[Any]) -> bool:
    """Locks an open file for this process; False where another has it. The lock ends with the file or the process."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _unwritable(path: Path, error: OSError) -> EnvironmentProblem:
    reason = os.strerror(error.errno).lower() if error.errno else str(error)
    what = "make room, then" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "mend that, then"
    return EnvironmentProblem(f"{path} can't be written: {reason}; {what} start the command again to go on")
