"""List what lies in tars, and in tars within tars, with the place of each file: so they are read without unpacking."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from mnasnet_cli.errors import DataError


def tar_classes(path: Path) -> Iterator[tuple[str, list[tuple[str, int, int]]]]:
    """Yield (synset, [(name, bytes, offset in the outer file)]) of a tar that holds one tar a class, sorted."""
    for name, size, offset in sorted(tar_images(path)):
        if name.endswith(".tar"):
            yield name.removesuffix(".tar"), tar_images(path, offset, size)


def tar_images(path: Path, start: int = 0, size: int | None = None) -> list[tuple[str, int, int]]:
    """Return (name, bytes, offset in the outer file) of the regular files in a tar, or in a tar within it."""
    import tarfile  # only those who have tars pay for it

    files = []
    try:
        with open(path, "rb") as outer:
            outer.seek(start)
            with tarfile.open(fileobj=outer, mode="r:") as archive:
                while (member := archive.next()) is not None:
                    if start and size is not None and member.offset >= start + size:
                        break
                    if member.isreg():
                        files.append((os.path.basename(member.name), member.size, member.offset_data))
                    archive.members.clear()  # type: ignore[attr-defined]  # tarfile keeps every header otherwise
    except tarfile.TarError as error:
        raise DataError(f"{path} is not a whole tar: {error}") from error
    end = start + size if size is not None else os.path.getsize(path)
    if files and files[-1][1] + files[-1][2] > end:
        raise DataError(f"{path} is cut off within {files[-1][0]}")
    return files
