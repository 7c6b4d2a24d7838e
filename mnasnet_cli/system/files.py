"""The one writer of files and folders: each is whole or absent, and on the disk before it has its name.

Nothing else in the program opens a file for writing; tests/test_repo.py lists the exceptions. A file or folder is
written under a temporary name, whose owner holds a lock on it. What a killed process leaves is not locked any more, and
the next process that writes into the same folder removes it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from mnasnet_cli.errors import EnvironmentProblem, os_error_reason

TEMPORARY = ".mnasnet-tmp"
"""How the temporary names of unfinished files and folders end; they begin with a dot."""
AGAIN = "run the command again"
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # of renameat2(2)
_swept: set[str] = set()  # folders that this process has cleared of the files of killed processes

Content = str | bytes | bytearray | memoryview


def write_atomically(path: Path, content: Content, next_step: str = AGAIN, *, flush: bool = True) -> None:
    """Write a file completely, or leave it as it was. A link is followed; a device or a pipe gets the content directly.

    flush: False for many small files that can be made again. Flushing takes some milliseconds for each.

    Raises EnvironmentProblem where the file cannot be written.
    """
    data = _encode(content)
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            with open(path, "wb") as file:
                file.write(data)
            return
        target = Path(os.path.realpath(path))
        _sweep_once(target.parent)
        with _temporary_file(target.parent) as (temporary, file):
            file.write(data)
            file.flush()
            move_into_place(temporary, target) if flush else os.replace(temporary, target)
    except OSError as error:
        raise write_error(path, error, next_step) from error


def append_atomically(path: Path, content: Content, next_step: str = AGAIN) -> None:
    """Append the whole content to a file, or leave the file unchanged. Raises EnvironmentProblem."""
    data = memoryview(_encode(content))
    try:
        is_new = not path.exists()
        with open(path, "ab", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            try:
                while data:  # a full disk takes a part, and refuses the rest with the reason
                    data = data[file.write(data) :]
                os.fsync(file.fileno())
            except OSError:
                file.truncate(size)
                raise
        if is_new:
            flush_folder(path.parent)
    except OSError as error:
        raise write_error(path, error, next_step) from error


def _encode(content: Content) -> bytes | bytearray | memoryview:
    # File names may hold bytes that are not UTF-8; Python keeps them as characters that UTF-8 does not have.
    return content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content


def move_into_place(temporary: Path, target: Path) -> None:
    """Flush a file or folder to the disk, give it its name, and flush the name. An older file is replaced.

    An older folder must be empty. Raises OSError.
    """
    flush_tree(temporary) if temporary.is_dir() else _flush(temporary)
    os.replace(temporary, target)
    flush_folder(target.parent)


def make_folder(path: Path) -> list[Path]:
    """Create a folder with its parents. Return those that were missing, the innermost first.

    Raises EnvironmentProblem where the folder cannot be created.
    """
    try:
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        for folder in missing:
            flush_folder(folder.parent)
    except OSError as error:
        raise write_error(path, error) from error
    return missing


def has_visible_files(folder: Path) -> bool:
    """Return whether a folder exists and holds visible files. A process that was killed leaves only hidden ones."""
    return folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir())


def user_cache() -> Path:
    """Return the folder of what can be made or fetched again: $MNASNET_CACHE, by default ~/.cache/mnasnet."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mnasnet"
    return Path(os.environ.get("MNASNET_CACHE") or default)


def flush_folder(path: Path) -> None:
    """Put the names of a folder's files on the disk. Raises OSError."""
    _flush(path, os.O_DIRECTORY)


def flush_tree(folder: Path) -> None:
    """Put a folder and everything in it on the disk. Raises OSError."""
    for place, _, names in os.walk(folder):
        for name in names:
            _flush(Path(place, name))
        flush_folder(Path(place))


def _flush(path: Path, flags: int = 0) -> None:
    descriptor = os.open(path, os.O_RDONLY | flags)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot flush folders
            raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def staged_folder(target: Path, next_step: str = AGAIN) -> Iterator[Path]:
    """Yield a folder to write into. It replaces `target` at the end of the block, or is removed on an error.

    An older `target` stays until then.

    Raises:
      EnvironmentProblem: the folder cannot be written; it has been removed.
    """
    target = Path(os.path.realpath(target))
    created: list[Path] = []
    try:
        created = make_folder(target.parent)
        _sweep_once(target.parent)
        with _temporary_folder(target.parent) as staged:
            yield staged
            _replace(staged, target)
    except OSError as error:
        raise write_error(target, error, next_step) from error
    except EnvironmentProblem as error:  # of a parent, or of a file inside, whose temporary name says nothing to users
        if isinstance(error.__cause__, OSError):
            raise write_error(target, error.__cause__, next_step) from error
        raise
    finally:
        for folder in created:  # those that are still empty
            with contextlib.suppress(OSError):
                folder.rmdir()


@contextlib.contextmanager
def temporary_folder(parent: Path | None = None) -> Iterator[Path]:
    """Yield a folder of this process, which is removed at the end of the block.

    parent: where it is created; None: in the system's temporary folder.
    """
    parent = parent or Path(tempfile.gettempdir())
    remove_abandoned(parent)
    with _temporary_folder(parent, mode=0o700) as folder:
        yield folder


def _replace(staged: Path, target: Path) -> None:
    """Give a folder its name. An older one there is exchanged, so that there is one at every moment, and removed."""
    if not target.exists():
        move_into_place(staged, target)
        return
    flush_tree(staged)
    libc = ctypes.CDLL(None, use_errno=True)
    exchange = getattr(libc, "renameat2", None)
    names = os.fsencode(staged), os.fsencode(target)
    if exchange is None or exchange(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) != 0:
        old = _new_name(target.parent)  # this file system cannot exchange
        target.rename(old)
        try:
            staged.rename(target)
        except OSError:
            old.rename(target)
            raise
        _remove(old)
    flush_folder(target.parent)


def _sweep_once(folder: Path) -> None:
    if str(folder) not in _swept:
        _swept.add(str(folder))
        remove_abandoned(folder)


def remove_abandoned(folder: Path) -> None:
    """Remove the temporary files and folders that killed processes left in a folder."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") and entry.name.endswith(TEMPORARY):
                _remove_if_abandoned(Path(entry.path))


def _remove_if_abandoned(path: Path) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            if try_lock(descriptor):
                _remove(path)
        finally:
            os.close(descriptor)


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _new_name(folder: Path) -> Path:
    return folder / f".{secrets.token_hex(6)}{TEMPORARY}"


@contextlib.contextmanager
def _temporary_file(folder: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """Yield the path and the stream of a new locked file, which is removed at the end unless it was renamed."""
    while True:
        path = _new_name(folder)
        with open(path, "xb") as file:
            try:
                if not _claim(file.fileno()):
                    continue
                yield path, file
                return
            finally:
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def _temporary_folder(parent: Path, mode: int = 0o777) -> Iterator[Path]:
    """Yield a new locked folder, which is removed at the end unless it was renamed."""
    while True:
        path = _new_name(parent)
        path.mkdir(mode)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if not _claim(descriptor):
                continue
            yield path
            return
        finally:
            shutil.rmtree(path, ignore_errors=True)
            os.close(descriptor)


def _claim(descriptor: int) -> bool:
    """Lock a new file. Return False if another process has just taken it for an abandoned one."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: nobody can take the file for an abandoned one
        return True
    return os.fstat(descriptor).st_nlink > 0


def try_lock(file: IO[Any] | int) -> bool:
    """Lock an open file for this process; return False if another process holds the lock.

    The lock ends when the file is closed or the process ends.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def open_lock(path: Path) -> IO[Any] | None:
    """Create a lock file and lock it; return None if another process holds the lock. Raises OSError."""
    file = open(path, "w")  # noqa: SIM115 - the caller closes it
    if try_lock(file):
        return file
    file.close()
    return None


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hex; some 10 ms for 20 MB. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_error(path: Path, error: OSError, next_step: str = AGAIN) -> EnvironmentProblem:
    """Return the error for a file or folder that cannot be written: the reason, and what to do next."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    remedy = "free some disk space" if full else "fix this"
    return EnvironmentProblem(f"cannot write {path}: {os_error_reason(error)}; {remedy}, then {next_step}")
