"""Compares checkpoints with what was written."""

from __future__ import annotations

from pathlib import Path

from mnasnet_cli.checkpoints.files import CHECKSUMS
from mnasnet_cli.checkpoints.reader import read_all
from mnasnet_cli.errors import CheckpointError
from mnasnet_cli.system.documents import read_text
from mnasnet_cli.system.files import sha256_of
from mnasnet_cli.system.relative_paths import check_relative_path


def verify_checkpoint(prefix: str) -> int:
    """Compare the files of a checkpoint with the SHA-256 beside it, and return their number.

    Checkpoints of earlier versions have none. All their tensors are read, which compares TensorFlow's own checksums.

    Raises:
      CheckpointError: a file is damaged or missing; the message names it.
    """
    path = Path(prefix)
    checksums = path.with_name(f"{path.name}{CHECKSUMS}")
    if not checksums.is_file():
        read_all(prefix)
        return 2
    rows = [line.split("  ", 1) for line in read_text(checksums).splitlines() if "  " in line]
    for expected, name in rows:
        file = path.parent / name
        if not _is_name(name) or not file.is_file():
            raise CheckpointError(f"{file} is missing; copy it from a backup, or use another checkpoint")
        if (found := sha256_of(file)) != expected:
            raise CheckpointError(
                f"{file} is damaged: its SHA-256 is {found[:12]}…, expected {expected[:12]}…; copy it from a backup, "
                "or use another checkpoint"
            )
    return len(rows)


def _is_name(name: str) -> bool:
    """Tell whether a name in a damaged file of checksums can be that of a file beside it."""
    try:
        return check_relative_path(name) == Path(name).name
    except ValueError:
        return False
