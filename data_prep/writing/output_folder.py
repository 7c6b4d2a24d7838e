"""The folder of the records: checks before a run, the journal of complete shards, and the clean-up after an error."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from data_prep.options import Options
from data_prep.writing.shard_entry import ShardEntry
from mnasnet_cli.errors import ConfigError, DataError
from mnasnet_cli.records.dataset_file import read_dataset_file
from mnasnet_cli.records.shards import DATASET_FILE, JOURNAL_PATTERN, SPLITS, journal_parts, shard_groups
from mnasnet_cli.system.documents import JsonObject, Missing, Unreadable, parse_json, read_text, validate
from mnasnet_cli.system.files import append_atomically, make_folder, write_atomically

if TYPE_CHECKING:
    from data_prep.writing.shard_job import Source

T = TypeVar("T")

RESUME = "run the command again with --resume"
# The keys of a plan that flags set. The others depend on the source.
PLAN_FLAGS = {
    "train_shards": "--train-shards",
    "validation_shards": "--val-shards",
    "test_shards": "--test-shards",
    "seed": "--seed",
    "max_side": "--max-side",
    "exif": "--exif",
}


def check_output_folder(out: Path, options: Options) -> None:
    """Raise an error if the run would overwrite records, or if the folder cannot be written."""
    if out.exists() and not out.is_dir():
        raise DataError(f"{out} is a file, not a folder")
    parent = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not parent.is_dir():
        raise DataError(f"cannot create {out}: {parent} is a file")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise DataError(f"cannot write to {out}: {parent} is read-only")
    part, parts = options.part
    finished = (out / DATASET_FILE).exists()
    if not finished:
        _check_parts(out, parts)
    if options.resume or not out.exists():
        return
    if finished:
        raise DataError(f"{out} contains finished records; choose another folder, or remove it")
    if journal_path(out, part, parts).exists() or (parts == 1 and any(out.glob(JOURNAL_PATTERN))):
        raise DataError(f"{out} contains unfinished records; continue with --resume, or remove the folder")
    if any(split in SPLITS for split, _ in shard_groups(out)) and not any(out.glob(JOURNAL_PATTERN)):
        raise DataError(f"{out} already contains record shards; choose another folder, or remove them")


def _check_parts(out: Path, parts: int) -> None:
    """Raise an error if an earlier run used another number of parts: nobody would combine the two kinds of parts."""
    for path in sorted(out.glob(JOURNAL_PATTERN)):
        earlier = journal_parts(path)
        if earlier != parts:
            before, now = (f"with --part I/{count}" if count > 1 else "without --part" for count in (earlier, parts))
            raise ConfigError(
                f"the records in {out} were started {before}, but this run is {now};"
                f" continue {before} and with --resume, or choose another folder"
            )


def check_apart_from_source(out: Path, source: Source) -> None:
    """Raise an error if the records would lie among the images: the next run would read them as images."""
    folder = out.resolve()
    if folder == source.root.resolve():
        raise ConfigError(f"{out} is the source itself; choose another folder for the records")
    for table in source.tables.values():
        if folder.is_relative_to(Path(table.base).resolve()):
            raise ConfigError(f"{out} is inside the image folder {table.base}; choose another folder for the records")


class OutputFolder:
    """A context manager that creates the output folder and cleans up after an error.

    After an error, the files in `written` are removed unless `keep` is set, and then the folders that were created.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.written: list[Path] = []
        self.keep = False

    def __enter__(self) -> OutputFolder:
        self._created = make_folder(self.path)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            return
        if not self.keep:
            for path in self.written:
                path.unlink(missing_ok=True)
        with suppress(OSError):  # the folder is not empty
            for path in self._created:
                path.rmdir()


def journal_path(out: Path, part: int, parts: int) -> Path:
    """Return the path of a part's journal."""
    return out / JOURNAL_PATTERN.replace("*", f"{part:05d}", 1).replace("*", f"{parts:05d}", 1)


class Journal:
    """A file with one line of JSON per complete shard; the first line holds the plan.

    A later run with --resume keeps these shards, and the run that combines the parts reads the journals of all.
    """

    def __init__(self, path: Path, plan: Mapping[str, Any]) -> None:
        self.path, self.plan = path, dict(plan)
        self.entries: dict[str, dict[str, Any]] = {}

    def load(self) -> None:
        """Read the journal. Raises the errors of `check_plan` if it has another plan.

        What is damaged counts as absent: its shards are written again. A killed writer may leave a last line cut short.
        """
        first, *rest = _lines(self.path)
        stored = _parse(first, JsonObject, self.path)
        if stored is None:
            self.entries = {}
            return
        check_plan(self.path.parent, stored or self.plan, self.plan)
        entries = [_parse(line, ShardEntry, self.path) for line in rest]
        self.entries = {entry["shard"]: dict(entry) for entry in entries if entry is not None}

    def start(self) -> None:
        """Write the plan and the entries to the file."""
        rows = [self.plan, *self.entries.values()]
        write_atomically(self.path, "".join(json.dumps(row) + "\n" for row in rows), RESUME)

    def add(self, entry: dict[str, Any]) -> None:
        """Append the entry of a complete shard."""
        self.entries[entry["shard"]] = entry
        append_atomically(self.path, json.dumps(entry) + "\n", RESUME)


def _lines(path: Path) -> list[str]:
    """Return the lines of a journal: at least one, empty if the journal is damaged. Raises Missing."""
    try:
        return read_text(path, remedy="remove it, and run the command again").split("\n")
    except Missing:
        raise
    except Unreadable:
        return [""]


def _parse(line: str, model: type[T], path: Path) -> T | None:
    """Return a line of a journal, None if it is damaged."""
    try:
        return validate(parse_json(line, path), model, path)
    except Unreadable:
        return None


def stored_plan(out: Path) -> dict[str, Any]:
    """Return the plan of the records that an earlier run finished or started in `out`, {} if there is none."""
    for path in (out / DATASET_FILE, *sorted(out.glob(JOURNAL_PATTERN))):
        with suppress(Unreadable):
            if path.name == DATASET_FILE:
                return dict(read_dataset_file(out)["plan"])
            if plan := _parse(_lines(path)[0], JsonObject, path):
                return plan
    return {}


def check_journals(directory: Path, plan: Mapping[str, Any]) -> None:
    """Raise the errors of `check_plan` if the journal of any part has another plan."""
    for path in sorted(directory.glob(JOURNAL_PATTERN)):
        with suppress(Missing):  # another process is combining the parts
            Journal(path, plan).load()


def check_plan(directory: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise an error if the records in `directory` were started with another plan.

    It is a DataError if the source differs, and a ConfigError if only flags differ.
    """
    different = [key for key in {**now, **before} if before.get(key) != now.get(key)]
    earlier, advice = "from the run that started these records", "use the same, or another folder"
    for key in different:
        if key not in PLAN_FLAGS:  # checked first: with another source, the numbers of shards may differ too
            raise DataError(f"cannot continue in {directory}: {key.replace('_', ' ')} differs {earlier}; {advice}")
    flags = [f"{PLAN_FLAGS[key]} (was {before.get(key)}, is {now.get(key)})" for key in different]
    if flags:
        verb = "differs" if len(flags) == 1 else "differ"
        raise ConfigError(f"cannot continue in {directory}: {' and '.join(flags)} {verb} {earlier}; {advice}")
