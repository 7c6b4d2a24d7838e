"""Atomic file writes and file locks."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from mnasnet_cli.errors import EnvironmentProblem, os_error_reason


@contextlib.contextmanager
def replace_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; when the block ends without an error, the file replaces `path`.

    Raises EnvironmentProblem where the file cannot be written. The temporary file is removed and `path` is unchanged.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
    """Write a text file completely, or leave it unchanged. Raises EnvironmentProblem."""
    with replace_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def append_atomically(path: Path, text: str) -> None:
    """Append the whole text to a file, or leave the file unchanged. Raises EnvironmentProblem."""
    data = text.encode()
    with open(path, "ab", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        try:
            if file.write(data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            file.truncate(size)
            raise write_error(path, error) from error


def try_lock(file: IO[Any]) -> bool:
    """Lock an open file for this process; return False if another process holds the lock.

    The lock ends when the file is closed or the process ends.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def write_error(path: Path, error: OSError, next_step: str = "run the command again") -> EnvironmentProblem:
    """Return the error for a file or folder that cannot be written: the reason, and what to do next."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    remedy = "free some disk space" if full else "fix this"
    return EnvironmentProblem(f"cannot write {path}: {os_error_reason(error)}; {remedy}, then {next_step}")
