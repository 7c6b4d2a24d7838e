"""Safe unpacking of tar archives that hold checkpoints."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from pathlib import Path

from mnasnet_cli.errors import DataError
from mnasnet_cli.system.files import staged_folder

MAX_BYTES = 2 << 30  # a checkpoint of these nets, including the optimizer, is smaller than 0.1 GB
MAX_MEMBERS = 10_000  # files and folders; a checkpoint has about ten
SUFFIXES = (".tgz", ".tar.gz", ".tar")


def is_archive(path: Path) -> bool:
    """Whether the file name has the suffix of a tar archive."""
    return path.name.lower().endswith(SUFFIXES)


def unpack(archive: Path) -> Path:
    """Unpacks an archive into the folder NAME.unpacked beside it, and returns that folder.

    A folder that exists already is reused.

    Raises:
      DataError: the file is not a complete tar archive; it holds a link, a device or a path outside the folder; or it
        unpacks to more than MAX_BYTES. No files are left behind.
    """
    name = next(archive.name[: -len(suffix)] for suffix in SUFFIXES if archive.name.lower().endswith(suffix))
    folder = archive.with_name(f"{name}.unpacked")
    if folder.is_dir():
        return folder
    with staged_folder(folder) as staged:
        try:
            with tarfile.open(archive) as tar:
                _extract(tar, archive, staged)
        # BadGzipFile is an OSError. ValueError, OverflowError: numbers in a damaged header that no file has.
        except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError, OverflowError) as error:
            raise DataError(f"{archive} is not a complete tar archive ({error})") from error
    return folder


def _extract(tar: tarfile.TarFile, archive: Path, folder: Path) -> None:
    total = 0
    for number, member in enumerate(tar):
        if not (member.isreg() or member.isdir()):
            raise DataError(f"{archive} holds {member.name}, which is neither a file nor a folder")
        total += max(0, member.size)
        if number >= MAX_MEMBERS:
            raise DataError(f"{archive} holds more than {MAX_MEMBERS:,} files, too many for a checkpoint")
        if total > MAX_BYTES:
            raise DataError(f"{archive} unpacks to more than {MAX_BYTES / 1e9:.1f} GB, too much for a checkpoint")
        tar.extract(member, folder, filter="data")  # refuses paths outside the folder
