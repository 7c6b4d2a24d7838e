"""Folders that are written whole or not at all."""

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

_NO_SPACE = "No space left on device"  # in TensorFlow's errors, which have no errno
_NEXT_STEP = "run the command again, or choose another folder with --out"


@contextlib.contextmanager
def staged_folder(target: Path) -> Iterator[Path]:
    """A folder to write into; it takes the place of `target` once that is done, and is removed where it fails.

    A `target` of before stays until then.

    Raises:
      EnvironmentProblem: it can't be written; nothing is left of it then.
    """
    staged = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        made = _make_parent(target.parent)
        try:
            _remove_left_overs(target)
            staged.mkdir()
            yield staged
            _replace(target, staged)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
            for folder in made:  # those that we made, innermost first, where nothing came into them
                with contextlib.suppress(OSError):
                    folder.rmdir()
    except OSError as error:
        raise write_error(target, error, _NEXT_STEP) from error
    except tf.errors.OpError as error:
        number = errno.ENOSPC if _NO_SPACE in str(error) else 0
        raise write_error(target, OSError(number, first_line(error)), _NEXT_STEP) from error


def check_replaceable(target: Path) -> None:
    """Raises DataError where something else than an export stands at `target`, since that would be removed."""
    if not target.exists() or (target / MANIFEST_FILE).is_file():
        return
    if not target.is_dir() or any(target.iterdir()):
        raise DataError(f"{target} is in the way and no export (it has no {MANIFEST_FILE}); move it, or choose --out")


def _make_parent(folder: Path) -> list[Path]:
    """Makes a folder with those above it; returns the ones that were not there, innermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _remove_left_overs(target: Path) -> None:
    """Removes what exports that were killed have left beside `target`."""
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
    except OSError:  # it runs under another user
        return True
    return True


def _replace(target: Path, staged: Path) -> None:
    """A folder that isn't empty can't be replaced in one step: the old one is put aside, and back if need be."""
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
