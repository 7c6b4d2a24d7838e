"""Folders of exports: which may be replaced, and TensorFlow's errors while one is written."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from mnasnet_cli.errors import DataError, first_line
from mnasnet_cli.inference.manifest import MANIFEST_FILE
from mnasnet_cli.system.files import staged_folder, write_error

_NO_SPACE = "No space left on device"  # TensorFlow's errors have no errno
_NEXT_STEP = "run the command again, or choose another folder with --out"


@contextlib.contextmanager
def staged_export(target: Path) -> Iterator[Path]:
    """Yield a folder to write an export into; see `system.files.staged_folder`.

    Raises:
      EnvironmentProblem: the folder can't be written; it has been removed.
    """
    try:
        with staged_folder(target, _NEXT_STEP) as folder:
            yield folder
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
