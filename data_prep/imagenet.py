"""From an ImageNet-style source to record shards: plan, write on every core, and sum up in dataset.json."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_prep import summary
from data_prep.jpeg import BadImage, prepare_image
from data_prep.pool import Report, default_workers, run_tasks, stopped_by_sigterm
from data_prep.shards import (
    Journal,
    ShardWriter,
    check_plan,
    is_whole,
    remove_partial,
    replace_text,
    shard_range,
    shuffled,
)
from data_prep.sources import Source, find_source
from mnasnet_cli.data.schema import (
    DATASET_FILE,
    JOURNAL_PATTERN,
    LABELS_FILE,
    SPLITS,
    encode_imagenet_example,
    shard_groups,
    shard_name,
)
from mnasnet_cli.errors import ConfigError, DataError, MnasnetError

STOPPED = "stopped by SIGTERM; what is whole is kept: run again with --resume"
Progress = Callable[[int, int], None]


class BadImageError(DataError):
    """An image that cannot become a record, where that ends the run."""


@dataclass(frozen=True)
class Options:
    """How to write.

    part: this run's number, from 1, and how many share the work. workers: 0 is one for each core.
    max_side: longest side in px, larger images are scaled down. verify: decode every image in full.
    """

    train_shards: int = 1024
    val_shards: int = 128
    workers: int = 0
    part: tuple[int, int] = (1, 1)
    resume: bool = False
    max_side: int | None = None
    labels: Path | None = None
    on_bad_image: str = "fail"
    seed: int = 0
    verify: bool = False

    def __post_init__(self) -> None:
        for name, limit in (("train_shards", 99_999), ("val_shards", 99_999), ("max_side", 65_500)):
            value = getattr(self, name)
            if value is not None and not 1 <= value <= limit:
                raise ConfigError(f"--{name.replace('_', '-')} must be 1..{limit}, not {value}")
        if self.workers < 0:
            raise ConfigError(f"--workers must be positive, not {self.workers}")
        if not 1 <= self.part[0] <= self.part[1]:
            raise ConfigError(f"--part I/N counts from 1/N to N/N, not {self.part[0]}/{self.part[1]}")
        if self.on_bad_image not in ("fail", "skip"):
            raise ConfigError(f"--on-bad-image is fail or skip, not {self.on_bad_image}")


@dataclass
class Job:
    """What the workers share: where the images are, in which order, and what to do with them."""

    source: Source
    out: Path
    options: Options
    counts: dict[str, int]  # split → shards
    orders: dict[str, Any] = field(default_factory=dict)  # split → image numbers in record order

    def images(self, split: str, index: int) -> Any:
        """Return the image numbers of a shard, in record order."""
        start, end = shard_range(index, self.counts[split], len(self.orders[split]))
        return self.orders[split][start:end]


def prepare_imagenet(
    source: Path, out: Path, options: Options | None = None, *, on_progress: Progress = lambda done, total: None
) -> dict[str, Any]:
    """Write the records of `source` into the folder `out` and return the summary.

    on_progress(done, total) is called with numbers of images, for the first time after the workers have started.

    Raises DataError where the source, an image or what `out` holds is at fault; nothing of this run is left then,
    unless `resume` was asked for. Stopped by SIGTERM or Ctrl-C, whole shards are kept for --resume.
    """
    options = options or Options()
    source, out = Path(source), Path(out)
    _check_out(out, options)
    found = find_source(source, options.labels)
    wanted = {"train": options.train_shards, "validation": options.val_shards}
    counts = {split: min(wanted[split], len(table)) for split, table in found.tables.items()}
    job = Job(found, out, options, counts)
    job.orders = {split: shuffled(len(found.tables[split]), f"{options.seed} {split}") for split in counts}
    plan = _plan(job)
    with _Folder(out) as folder, stopped_by_sigterm(STOPPED):
        if (out / DATASET_FILE).exists():
            return _mend(job, plan, on_progress)
        return _write(job, plan, folder, on_progress)


def _check_out(out: Path, options: Options) -> None:
    """Refuse what would be overwritten, and a folder that cannot be written, before hours of work."""
    if out.exists() and not out.is_dir():
        raise DataError(f"{out} is a file, not a folder")
    above = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not above.is_dir():
        raise DataError(f"cannot make {out}: {above} is a file")
    if not os.access(above, os.W_OK | os.X_OK):
        raise DataError(f"cannot write to {out}: {above} is read-only")
    if options.resume or not out.exists():
        return
    part, parts = options.part
    if (out / DATASET_FILE).exists():
        raise DataError(f"{out} holds finished records; choose another folder, or remove it")
    if _journal_path(out, part, parts).exists() or (parts == 1 and any(out.glob(JOURNAL_PATTERN))):
        raise DataError(f"{out} holds unfinished records; go on with --resume, or remove the folder")
    if any(split in SPLITS for split, _ in shard_groups(out)) and not any(out.glob(JOURNAL_PATTERN)):
        raise DataError(f"{out} already holds record shards; choose another folder, or remove them")


def _journal_path(out: Path, part: int, parts: int) -> Path:
    return out / JOURNAL_PATTERN.replace("*", f"{part:05d}", 1).replace("*", f"{parts:05d}", 1)


def _plan(job: Job) -> dict[str, Any]:
    """Return all that decides what the records are: whoever goes on with them must have the same."""
    plan: dict[str, Any] = {f"{split}_shards": count for split, count in job.counts.items()}
    plan |= {"seed": job.options.seed, "max_side": job.options.max_side, "parts": job.options.part[1]}
    for split, table in job.source.tables.items():
        plan[f"list_of_{split}_images"] = table.digest()
    return plan


class _Folder:
    """The output folder, made when needed; where nothing was written, what was made is taken away again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.written: list[Path] = []
        self.keep = False

    def __enter__(self) -> _Folder:
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


def _write(job: Job, plan: dict[str, Any], folder: _Folder, on_progress: Progress) -> dict[str, Any]:
    """Write this part's shards that aren't there yet, and join the parts if it was the last."""
    options, out = job.options, job.out
    journal = Journal(_journal_path(out, *options.part), plan)
    if options.resume and journal.path.exists():
        journal.load()
    part, parts = options.part
    every = [(split, index) for split, count in job.counts.items() for index in range(count)]
    mine = every[part - 1 :: parts]
    remove_partial(out, {_name(job, task) for task in mine})
    journal.entries = {name: entry for name, entry in journal.entries.items() if _kept(job, entry)}
    kept = len(journal.entries)
    tasks = [task for task in mine if _name(job, task) not in journal.entries]
    folder.written += [journal.path, *(out / _name(job, task) for task in tasks)]
    try:
        _write_labels(job, folder)
        journal.begin()
        _run(job, tasks, journal.add, on_progress)
        _check_bad(job, journal)
    except BaseException as error:
        # An input at fault leaves nothing, unless going on was asked for; one who is interrupted can go on.
        folder.keep = len(journal.entries) > 0 and (options.resume or not isinstance(error, BadImageError))
        if isinstance(error, OSError):
            raise DataError(f"cannot write to {out}: {(error.strerror or str(error)).lower()}") from error
        raise
    return _join(job, plan, journal) | {"kept_shards": kept}


def _name(job: Job, task: tuple[str, int]) -> str:
    return shard_name(*task, job.counts[task[0]])


def _kept(job: Job, entry: dict[str, Any]) -> bool:
    """Tell whether a shard of an earlier run can stay: it is whole, and its images have the sizes that they had."""
    split, index = entry["split"], entry["index"]
    return entry["source"] == _source_key(job, split, index) and is_whole(
        job.out / entry["shard"], entry["examples"], entry["bytes"]
    )


def _source_key(job: Job, split: str, index: int) -> int:
    """Return a number that changes with the size of any image of a shard."""
    import zlib

    sizes = job.source.tables[split].sizes
    return zlib.crc32(",".join(str(sizes[number]) for number in job.images(split, index)).encode())


def _write_labels(job: Job, folder: _Folder) -> None:
    path = job.out / LABELS_FILE
    if not path.exists():
        folder.written.append(path)
    rows = zip(job.source.synsets, job.source.texts, strict=True)
    replace_text(path, "".join(f"{synset}\t{text}\n" for synset, text in rows))


def _run(
    job: Job, tasks: list[tuple[str, int]], on_result: Callable[[dict[str, Any]], None], on_progress: Progress
) -> None:
    total = sum(len(job.images(*task)) for task in tasks)
    workers = job.options.workers or default_workers()
    run_tasks(
        write_shard, job, tasks, workers=workers, on_result=on_result,
        on_progress=lambda done: on_progress(done, total),
    )  # fmt: skip


def write_shard(job: Job, task: tuple[str, int], report: Report) -> dict[str, Any]:
    """Write one shard (in a worker) and return its journal entry."""
    split, index = task
    table, options = job.source.tables[split], job.options
    facts = summary.Facts()
    with ShardWriter(job.out / _name(job, task)) as shard:
        for done, number in enumerate(job.images(split, index), 1):
            label = table.labels[number]
            synset = job.source.synsets[label - 1]
            try:
                image = prepare_image(
                    table.read(number, synset), max_side=options.max_side, verify=options.verify
                )
            except BadImage as error:
                path = table.path(number, synset)
                if options.on_bad_image == "fail":
                    raise BadImageError(
                        f"{path}: {error}; mend or remove it, or leave such images out with --on-bad-image skip"
                    ) from None
                facts.bad.append({"file": os.path.relpath(path, job.source.root), "reason": str(error)})
                continue
            finally:
                report(done)
            shard.write(
                encode_imagenet_example(
                    image.data, label=label, synset=synset, text=job.source.texts[label - 1],
                    filename=table.name(number), height=image.height, width=image.width, channels=image.channels,
                )  # fmt: skip
            )
            facts.add(label, image)
    entry = {"shard": shard.path.name, "split": split, "index": index, "source": _source_key(job, split, index)}
    return entry | {"examples": shard.examples, "bytes": shard.bytes, "digest": shard.digest} | facts.as_dict()


def _check_bad(job: Job, journal: Journal) -> None:
    """Shards that an earlier run wrote with --on-bad-image skip don't do for one that wants none skipped."""
    for entry in journal.entries.values():
        for bad in entry["bad"] if job.options.on_bad_image == "fail" else ():
            raise BadImageError(f"{bad['file']} was left out by an earlier run ({bad['reason']}); see --on-bad-image")
    for split in job.counts if job.options.part[1] == 1 else ():
        if not any(entry["examples"] for entry in journal.entries.values() if entry["split"] == split):
            raise BadImageError(f"not one of the {len(job.orders[split]):,} {split} images can be read: the first is "
                                f"{journal.entries[shard_name(split, 0, job.counts[split])]['bad'][0]}")


def _join(job: Job, plan: dict[str, Any], journal: Journal) -> dict[str, Any]:
    """Sum up; with several parts, only once the shards of all are there."""
    parts = job.options.part[1]
    journals = []
    missing = []
    for part in range(1, parts + 1):
        other = Journal(_journal_path(job.out, part, parts), plan)
        if other.path == journal.path:
            other = journal
        elif other.path.exists():
            other.load()
        journals.append(other)
        if len(other.entries) < len(range(part - 1, sum(job.counts.values()), parts)):
            missing.append(f"{part}/{parts}")
    entries = {name: entry for each in journals for name, entry in each.entries.items()}
    result = summary.dataset(plan, job.source.synsets, entries.values())
    if not missing:
        replace_text(job.out / DATASET_FILE, summary.to_text(result))
        for each in journals:
            each.path.unlink(missing_ok=True)
    return result | {"missing_parts": missing, "ignored_files": job.source.ignored}


def _mend(job: Job, plan: dict[str, Any], on_progress: Progress) -> dict[str, Any]:
    """With --resume on finished records: write again what has gone missing since, to the very same bytes."""
    stored = summary.load(job.out / DATASET_FILE)
    plan = plan | {"parts": stored["plan"].get("parts")}  # how the work was shared makes no difference any more
    check_plan(job.out, stored["plan"], plan)
    tasks, digests = [], {}
    for split, count in job.counts.items():
        info = stored["splits"][split]
        for index in range(count):
            name = shard_name(split, index, count)
            if not is_whole(job.out / name, info["shard_examples"][index]):
                tasks.append((split, index))
                digests[name] = info["shard_digests"][index]
    remove_partial(job.out, set(digests))

    def check(entry: dict[str, Any]) -> None:
        if entry["digest"] != digests[entry["shard"]]:
            (job.out / entry["shard"]).unlink()
            raise DataError(
                f"shard {entry['shard']} comes out otherwise than it was: the images changed since; write the records anew"
            )

    try:
        _run(job, tasks, check, on_progress)
    except OSError as error:
        raise MnasnetError(f"cannot write to {job.out}: {(error.strerror or '').lower()}") from error
    shards = sum(job.counts.values())
    return stored | {"missing_parts": [], "ignored_files": job.source.ignored, "kept_shards": shards - len(tasks)}
