"""Folders that appear only when they are complete."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from mnasnet_cli.errors import DataError, first_line
from mnasnet_cli.inference.manifest import MANIFEST_FILE
from mnasnet_cli.system.files import write_error

_NO_SPACE = "No space left on device"  # TensorFlow's errors have no errno
_NEXT_STEP = "run the command again, or choose another folder with --out"


@contextlib.contextmanager
def staged_folder(target: Path) -> Iterator[Path]:
    """Yield a folder to write into. It replaces `target` at the end of the block, or is removed on an error.

    An older `target` stays until then.

    Raises:
      EnvironmentProblem: the folder can't be written; it has been removed.
    """
    staged = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        created = _make_folder(target.parent)
        try:
            _remove_abandoned(target)
            staged.mkdir()
            yield staged
            _replace(target, staged)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
            for folder in created:  # those that are still empty
                with contextlib.suppress(OSError):
                    folder.rmdir()
    except OSError as error:
        raise write_error(target, error, _NEXT_STEP) from error
    except tf.errors.OpError as error:
        number = errno.ENOSPC if _NO_SPACE in str(error) else 0
        raise write_error(target, OSError(number, first_line(error)), _NEXT_STEP) from error


def check_replaceable(target: Path) -> None:
    """Raise DataError if `target` is something else than an export, because an export would replace it."""
    if not target.exists() or (target / MANIFEST_FILE).is_file():
        return
    if not target.is_dir() or any(target.iterdir()):
        raise DataError(
            f"{target} exists and is not an export (it has no {MANIFEST_FILE}); move it, or choose another --out"
        )


def _make_folder(folder: Path) -> list[Path]:
    """Create a folder with its parents. Return those that were missing, the innermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _remove_abandoned(target: Path) -> None:
    """Remove folders beside `target` that were left by killed processes."""
    for path in target.parent.glob(f".{target.name}.*.*"):
        process = re.fullmatch(rf"\.{re.escape(target.name)}\.(\d+)\.(?:tmp|old)", path.name)
        if process and not _is_running(int(process[1])):
            shutil.rmtree(path, ignore_errors=True)


def _is_running(process: int) -> bool:
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it belongs to another user
        return True
    return True


def _replace(target: Path, staged: Path) -> None:
    """Rename `staged` to `target`. An old folder there is moved aside first, because rename can't replace it."""
    if not target.exists():
        staged.rename(target)
        return
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    target.rename(old)
    try:
        staged.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True) if old.is_dir() else old.unlink()
