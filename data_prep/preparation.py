"""From a source to record shards: plan, write on every core, and sum up in dataset.json. The same for every kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from data_prep import summary
from data_prep.options import Options
from data_prep.output import OutputFolder, check_apart, check_out, journal_path
from data_prep.shard_job import BadImageError, Job, Source, source_key, write_shard
from data_prep.shards import Journal, check_journals, check_plan, is_whole, remove_partial, replace_text, shuffled
from data_prep.workers import default_workers, run_tasks, stopped_by_sigterm
from mnasnet_cli.errors import DataError, MnasnetError
from mnasnet_cli.records.shards import DATASET_FILE, LABELS_FILE, shard_name

STOPPED = "stopped by SIGTERM; what is whole is kept: run again with --resume"
Progress = Callable[[int, int], None]


def write_records(
    find: Callable[[], Source], out: Path, options: Options, on_progress: Progress = lambda done, total: None
) -> dict[str, Any]:
    """Write the records of the source that `find` lists into the folder `out` and return the summary.

    on_progress(done, total) is called with numbers of images, for the first time after the workers have started.

    Raises DataError where the source, an image or what `out` holds is at fault; nothing of this run is left then,
    unless `resume` was asked for. Raises ConfigError before anything is written where `out` was begun with other
    options, or lies in the source. Stopped by SIGTERM or Ctrl-C, whole shards are kept for --resume.
    """
    check_out(out, options)
    source = find()
    check_apart(out, source)
    wanted = {"train": options.train_shards, "validation": options.val_shards}
    counts = {split: min(wanted[split], len(table)) for split, table in source.tables.items()}
    job = Job(source, out, options, counts)
    job.orders = {split: shuffled(len(source.tables[split]), f"{options.seed} {split}") for split in counts}
    plan = _plan(job)
    finished = (out / DATASET_FILE).exists()
    if not finished:
        check_journals(out, plan)
    with OutputFolder(out) as folder, stopped_by_sigterm(STOPPED):
        if finished:
            return _mend(job, plan, on_progress)
        return _write(job, plan, folder, on_progress)


def _plan(job: Job) -> dict[str, Any]:
    """Return all that decides what the records are: whoever goes on with them must have the same."""
    plan: dict[str, Any] = {f"{split}_shards": count for split, count in job.counts.items()}
    plan |= {"seed": job.options.seed, "max_side": job.options.max_side, "parts": job.options.part[1]}
    return plan | job.source.plan()


def _write(job: Job, plan: dict[str, Any], folder: OutputFolder, on_progress: Progress) -> dict[str, Any]:
    """Write this part's shards that aren't there yet, and join the parts if it was the last."""
    options, out = job.options, job.out
    journal = Journal(journal_path(out, *options.part), plan)
    if options.resume and journal.path.exists():
        journal.load()
    part, parts = options.part
    every = [(split, index) for split, count in job.counts.items() for index in range(count)]
    mine = every[part - 1 :: parts]
    remove_partial(out, {job.shard_name(task) for task in mine})
    journal.entries = {name: entry for name, entry in journal.entries.items() if _kept(job, entry)}
    kept = len(journal.entries)
    tasks = [task for task in mine if job.shard_name(task) not in journal.entries]
    folder.written += [journal.path, *(out / job.shard_name(task) for task in tasks)]
    try:
        _write_labels(job, folder)
        journal.begin()
        _run(job, tasks, journal.add, on_progress)
        _check_bad(job, journal)
    except BaseException as error:
        remove_partial(out, {job.shard_name(task) for task in tasks})  # of workers that couldn't do it themselves
        # An input at fault leaves nothing, unless going on was asked for; one who is interrupted can go on.
        folder.keep = len(journal.entries) > 0 and (options.resume or not isinstance(error, BadImageError))
        if isinstance(error, OSError):
            raise DataError(f"cannot write to {out}: {(error.strerror or str(error)).lower()}") from error
        raise
    return _join(job, plan, journal) | {"kept_shards": kept}


def _kept(job: Job, entry: dict[str, Any]) -> bool:
    """Tell whether a shard of an earlier run can stay: it is whole, and its images have the sizes that they had."""
    split, index = entry["split"], entry["index"]
    return entry["source"] == source_key(job, split, index) and is_whole(
        job.out / entry["shard"], entry["examples"], entry["bytes"]
    )


def _write_labels(job: Job, folder: OutputFolder) -> None:
    path = job.out / LABELS_FILE
    if not path.exists():
        folder.written.append(path)
    rows = zip(job.source.class_keys, job.source.texts, strict=True)
    replace_text(path, "".join(f"{key}\t{text}\n" for key, text in rows))


def _run(
    job: Job, tasks: list[tuple[str, int]], on_result: Callable[[dict[str, Any]], None], on_progress: Progress
) -> None:
    total = sum(len(job.images(*task)) for task in tasks)
    workers = job.options.workers or default_workers()
    run_tasks(
        write_shard, job, tasks, workers=workers, on_result=on_result,
        on_progress=lambda done: on_progress(done, total),
    )  # fmt: skip


def _check_bad(job: Job, journal: Journal) -> None:
    """Shards that an earlier run wrote with --on-bad-image skip don't do for one that wants none skipped."""
    for entry in journal.entries.values():
        for bad in entry["bad"] if job.options.on_bad_image == "fail" else ():
            raise BadImageError(f"{bad['file']} was left out by an earlier run ({bad['reason']}); see --on-bad-image")
    for split in job.counts if job.options.part[1] == 1 else ():
        if not any(entry["examples"] for entry in journal.entries.values() if entry["split"] == split):
            raise BadImageError(
                f"not one of the {len(job.orders[split]):,} {split} images can be read: the first is "
                f"{journal.entries[shard_name(split, 0, job.counts[split])]['bad'][0]}"
            )


def _join(job: Job, plan: dict[str, Any], journal: Journal) -> dict[str, Any]:
    """Sum up; with several parts, only once the shards of all are there."""
    parts = job.options.part[1]
    journals = []
    missing = []
    for part in range(1, parts + 1):
        other = Journal(journal_path(job.out, part, parts), plan)
        if other.path == journal.path:
            other = journal
        elif other.path.exists():
            other.load()
        journals.append(other)
        if len(other.entries) < len(range(part - 1, sum(job.counts.values()), parts)):
            missing.append(f"{part}/{parts}")
    entries = {name: entry for each in journals for name, entry in each.entries.items()}
    result = summary.dataset(plan, job.source, entries.values())
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
                f"shard {entry['shard']} comes out otherwise than it was: the images changed since;"
                " write the records anew"
            )

    try:
        _run(job, tasks, check, on_progress)
    except OSError as error:
        raise MnasnetError(f"cannot write to {job.out}: {(error.strerror or '').lower()}") from error
    shards = sum(job.counts.values())
    return stored | {"missing_parts": [], "ignored_files": job.source.ignored, "kept_shards": shards - len(tasks)}
