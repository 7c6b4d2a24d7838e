"""The folder that records go to: what it may hold before, and what is left in it when a run fails."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from data_prep.options import Options
from mnasnet_cli.errors import ConfigError, DataError
from mnasnet_cli.records.shards import DATASET_FILE, JOURNAL_PATTERN, SPLITS, journal_parts, shard_groups

if TYPE_CHECKING:
    from data_prep.shard_job import Source


def check_out(out: Path, options: Options) -> None:
    """Refuse what would be overwritten, and a folder that cannot be written, before hours of work."""
    if out.exists() and not out.is_dir():
        raise DataError(f"{out} is a file, not a folder")
    above = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not above.is_dir():
        raise DataError(f"cannot make {out}: {above} is a file")
    if not os.access(above, os.W_OK | os.X_OK):
        raise DataError(f"cannot write to {out}: {above} is read-only")
    part, parts = options.part
    finished = (out / DATASET_FILE).exists()
    if not finished:
        _check_share(out, parts)
    if options.resume or not out.exists():
        return
    if finished:
        raise DataError(f"{out} holds finished records; choose another folder, or remove it")
    if journal_path(out, part, parts).exists() or (parts == 1 and any(out.glob(JOURNAL_PATTERN))):
        raise DataError(f"{out} holds unfinished records; go on with --resume, or remove the folder")
    if any(split in SPLITS for split, _ in shard_groups(out)) and not any(out.glob(JOURNAL_PATTERN)):
        raise DataError(f"{out} already holds record shards; choose another folder, or remove them")


def _check_share(out: Path, parts: int) -> None:
    """Refuse to share the work otherwise than it was begun: nobody would join the journals of the two."""
    for path in sorted(out.glob(JOURNAL_PATTERN)):
        begun = journal_parts(path)
        if begun != parts:
            before, here = (f"with --part I/{count}" if count > 1 else "without --part" for count in (begun, parts))
            raise ConfigError(
                f"the records in {out} were begun {before}, but this run is {here};"
                f" go on {before} and with --resume, or choose another folder"
            )


def check_apart(out: Path, source: Source) -> None:
    """Refuse to write among the images: the next run would take the records for a part of the source."""
    place = out.resolve()
    if place == source.root.resolve():
        raise ConfigError(f"{out} is the source itself; choose another folder for the records")
    for table in source.tables.values():
        if place.is_relative_to(Path(table.base).resolve()):
            raise ConfigError(f"{out} lies among the images of {table.base}; choose another folder for the records")


def journal_path(out: Path, part: int, parts: int) -> Path:
    """Return where a part notes its whole shards."""
    return out / JOURNAL_PATTERN.replace("*", f"{part:05d}", 1).replace("*", f"{parts:05d}", 1)


class OutputFolder:
    """The output folder, made when needed; where nothing was written, what was made is taken away again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.written: list[Path] = []
        self.keep = False

    def __enter__(self) -> OutputFolder:
        self.made = [path for path in (self.path, *self.path.parents) if not path.exists()]
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"cannot make {self.path}: {(error.strerror or '').lower()}") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            return
        if not self.keep:
            for path in self.written:
                path.unlink(missing_ok=True)
        with suppress(OSError):  # not empty: something is kept
            for path in self.made:
                path.rmdir()
