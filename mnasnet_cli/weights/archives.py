"""Tar archives of checkpoints, unpacked without trust: regular files, below the folder, of a sensible size."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import zlib
from pathlib import Path

from mnasnet_cli.errors import DataError

MAX_BYTES = 2 << 30  # all that these nets' checkpoints hold, optimizer included, is below 0.1 GB
SUFFIXES = (".tgz", ".tar.gz", ".tar")


def is_archive(path: Path) -> bool:
    """Whether a file is an archive by its name."""
    return path.name.lower().endswith(SUFFIXES)


def unpack(archive: Path) -> Path:
    """Unpacks beside the archive, in a folder of its name without the ending, and returns that.

    A folder that is there already is taken as it is.

    Raises:
      DataError: not a whole tar archive, or one with anything in it that a checkpoint has no use for. Nothing is left
        of it then.
    """
    name = next(archive.name[: -len(suffix)] for suffix in SUFFIXES if archive.name.lower().endswith(suffix))
    folder = archive.with_name(f"{name}.unpacked")
    if folder.is_dir():
        return folder
    with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=archive.parent) as temporary:
        whole = Path(temporary) / "whole"
        try:
            with tarfile.open(archive) as tar:
                _extract(tar, archive, whole)
        except (tarfile.TarError, EOFError, zlib.error) as error:
            raise DataError(f"{archive} is not a whole tar archive ({error})") from error
        shutil.move(whole, folder)
    return folder


def _extract(tar: tarfile.TarFile, archive: Path, folder: Path) -> None:
    folder.mkdir()
    total = 0
    for member in tar:
        if not (member.isreg() or member.isdir()):
            raise DataError(f"{archive} holds {member.name}, which is neither a file nor a folder")
        total += member.size
        if total > MAX_BYTES:
            raise DataError(f"{archive} unpacks to more than {MAX_BYTES / 1e9:.1f} GB, which no checkpoint has")
        tar.extract(member, folder, filter="data")  # refuses what leads out of the folder
