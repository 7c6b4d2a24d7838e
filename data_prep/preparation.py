"""From a source to record shards and dataset.json. The same code for ImageNet and COCO sources."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from data_prep.options import SHARD_OPTIONS, Options
from data_prep.writing import summary
from data_prep.writing.output_folder import (
    RESUME,
    Journal,
    OutputFolder,
    check_apart_from_source,
    check_journals,
    check_output_folder,
    check_plan,
    journal_path,
    stored_plan,
)
from data_prep.writing.pieces import Joiner, in_pieces, write_piece
from data_prep.writing.records_health import examine_entries
from data_prep.writing.shard_job import BadImageError, Job, ShardId, Source, Table
from data_prep.writing.shards import is_complete, remove_partial, shard_count, shuffled
from mnasnet_cli.errors import DataError
from mnasnet_cli.health.facts import Facts
from mnasnet_cli.records.index import load_index
from mnasnet_cli.records.shards import DATASET_FILE, JOURNAL_PATTERN, LABELS_FILE
from mnasnet_cli.system.documents import is_number, is_text
from mnasnet_cli.system.files import write_atomically, write_error
from mnasnet_cli.system.machine import core_count
from mnasnet_cli.system.workers import run_tasks, stop_on_sigterm

STOPPED = f"stopped by SIGTERM; complete shards are kept: {RESUME}"
WORKER_DIED = f"use fewer --workers if memory is short; complete shards are kept: {RESUME}"
Progress = Callable[[int, int], None]
Announce = Callable[[str], None]
Lengths = Mapping[str, "array[int]"]  # of the data of records, by the names of their shards
OptionsT = TypeVar("OptionsT", bound=Options)


def write_records(
    find: Callable[[OptionsT], Source],
    out: Path,
    options: OptionsT,
    *,
    on_layout: Announce = lambda layout: None,
    on_progress: Progress = lambda done, total: None,
) -> dict[str, Any]:
    """Write the records of a source into the folder `out` and return the summary.

    Args:
        find: lists the source.
        on_layout: called with one line: what the source was taken for.
        on_progress: called with (done, total) numbers of images, for the first time after the workers have started.

    Raises DataError if the source, an image or the content of `out` is invalid. Then the files of this run are removed,
    unless `resume` is set. Raises ConfigError before anything is written if `out` was started with other options or is
    inside the source. If SIGTERM or Ctrl-C stops the run, complete shards are kept for --resume.
    """
    check_output_folder(out, options)
    options = _continued(options, stored_plan(out))
    source = find(options)
    if options.strict:
        source.findings.refuse_mended()
    if source.layout:
        on_layout(source.layout)
    check_apart_from_source(out, source)
    _check_names(source)
    shard_counts = {split: _shard_count(split, table, options) for split, table in source.tables.items()}
    orders = {split: shuffled(len(source.tables[split]), f"{options.seed} {split}") for split in shard_counts}
    job = Job(source, out, options, shard_counts, orders)
    plan = _plan(job)
    finished = (out / DATASET_FILE).exists()
    if not finished:
        check_journals(out, plan)
    with OutputFolder(out) as folder, stop_on_sigterm(STOPPED):
        if finished:
            return _rewrite_missing_files(job, plan, folder, on_progress)
        return _write_part(job, plan, folder, on_progress)


def _check_names(source: Source) -> None:
    """Raise DataError if labels.txt cannot hold a class or its name, whatever kind of file they came from."""
    for key, text in zip(source.class_keys, source.texts, strict=True):
        if not is_text(key) or not is_text(text):
            raise DataError(f"class {key!r}: its name {text!r} contains half a surrogate pair, which is no letter")


def _continued(options: OptionsT, plan: Mapping[str, Any]) -> OptionsT:
    """Return the options with the numbers of shards of an earlier run, `plan`, where no flag gives others.

    Records of earlier versions have other numbers, and no validation split where the source has none.
    """
    if not plan:
        return options
    stored = {name: plan.get(f"{split}_shards") for split, name in SHARD_OPTIONS.items()}
    changed: dict[str, Any] = {name: count for name, count in stored.items() if getattr(options, name) is None}
    if options.val_fraction is None and stored["val_shards"] is None:
        changed["val_fraction"] = 0.0
    return replace(options, **changed)


def _shard_count(split: str, table: Table, options: Options) -> int:
    requested = getattr(options, SHARD_OPTIONS[split])
    if requested is not None:
        return min(requested, len(table))
    return shard_count(split, table.sizes, options.most_shards[split], options.part[1])


def _plan(job: Job) -> dict[str, Any]:
    """Return everything that the records depend on. A run that continues another must have the same plan."""
    plan: dict[str, Any] = {f"{split}_shards": count for split, count in job.shard_counts.items()}
    plan |= {
        "seed": job.options.seed,
        "max_side": job.options.max_side,
        "exif": job.options.exif,
        "parts": job.options.part[1],
    }
    return plan | job.source.plan()


def _all_shards(job: Job) -> list[ShardId]:
    return [ShardId(split, number) for split, count in job.shard_counts.items() for number in range(count)]


def _write_part(job: Job, plan: dict[str, Any], folder: OutputFolder, on_progress: Progress) -> dict[str, Any]:
    """Write the missing shards of this part. If it is the last part, combine all parts."""
    options, out = job.options, job.out
    part, parts = options.part
    journal = Journal(journal_path(out, part, parts), plan)
    if options.resume and journal.path.exists():
        journal.load()
    shards = _all_shards(job)[part - 1 :: parts]
    remove_partial(out, {job.shard_name(shard) for shard in shards})
    journal.entries = {name: entry for name, entry in journal.entries.items() if _is_up_to_date(job, entry)}
    kept = len(journal.entries)
    missing = [shard for shard in shards if job.shard_name(shard) not in journal.entries]
    folder.written += [journal.path, *(out / job.shard_name(shard) for shard in missing)]
    try:
        _write_labels(job, folder)
        journal.start()
        lengths = _write_shards(job, missing, journal.add, on_progress)
        _check_skipped_images(job, journal)
    except BaseException as error:
        # A bad image leaves nothing behind, unless --resume is set. An interrupted run can be continued.
        folder.keep = len(journal.entries) > 0 and (options.resume or not isinstance(error, BadImageError))
        if isinstance(error, OSError):
            raise write_error(out, error, RESUME) from error
        raise
    folder.keep = True  # the shards are complete, whatever happens to the summary
    return _combine_parts(job, plan, journal, lengths) | {"kept_shards": kept}


def _belongs(job: Job, entry: Mapping[str, Any]) -> bool:
    """Tell whether an entry of a journal is about a shard of this job, and its counts can be summed."""
    shard = ShardId(entry["split"], entry["index"])
    if shard.number >= job.shard_counts.get(shard.split, 0) or entry["shard"] != job.shard_name(shard):
        return False
    labels, boxes = entry["labels"], entry.get("boxes", {})
    if not all(is_number(key) and 0 < int(key) <= len(job.source.class_keys) for key in labels):
        return False
    try:
        facts = Facts.parse(entry["facts"]) if "facts" in entry else None
    except ValueError:
        return False
    return all(is_number(key) for key in boxes) and (facts is None or len(facts) == entry["examples"])


def _is_up_to_date(job: Job, entry: Mapping[str, Any]) -> bool:
    """Tell whether a shard of an earlier run is complete and the sizes of its image files have not changed."""
    shard = ShardId(entry["split"], entry["index"])
    return (
        _belongs(job, entry)
        and entry["source"] == job.sizes_checksum(shard)
        and is_complete(job.out / entry["shard"], entry["examples"], entry["bytes"])
    )


def _write_labels(job: Job, folder: OutputFolder) -> None:
    path = job.out / LABELS_FILE
    if not path.exists():
        folder.written.append(path)
    rows = zip(job.source.class_keys, job.source.texts, strict=True)
    write_atomically(path, "".join(f"{key}\t{text}\n" for key, text in rows), RESUME)


def _write_shards(
    job: Job, shards: list[ShardId], on_result: Callable[[dict[str, Any]], None], on_progress: Progress
) -> Lengths:
    """Write shards, and return the lengths of their records."""
    total = sum(len(job.image_numbers(shard)) for shard in shards)
    processes = job.options.workers or core_count()
    joiner = Joiner(job, on_result)
    try:
        run_tasks(
            write_piece, job, in_pieces(job, shards, processes), processes=processes, on_death=WORKER_DIED,
            on_result=joiner.add, on_progress=lambda done: on_progress(done, total),
        )  # fmt: skip
    except BaseException:
        remove_partial(job.out, {job.shard_name(shard) for shard in shards})  # pieces, and files of killed workers
        raise
    return joiner.lengths


def _check_skipped_images(job: Job, journal: Journal) -> None:
    """Raise BadImageError if an earlier run skipped an image that this run may not skip, or if a split is empty."""
    for entry in journal.entries.values() if job.options.on_bad_image == "fail" else ():
        for bad in entry["bad"]:
            raise BadImageError(f"an earlier run skipped {bad['file']} ({bad['reason']}); see --on-bad-image")
    for split in job.shard_counts if job.options.part[1] == 1 else ():
        entries = [entry for entry in journal.entries.values() if entry["split"] == split]
        if not any(entry["examples"] for entry in entries):
            bad = min(entries, key=lambda entry: entry["index"])["bad"][0]
            raise BadImageError(
                f"none of the {len(job.orders[split]):,} {split} images can be read; the first is {bad['file']}:"
                f" {bad['reason']}"
            )


def _combine_parts(job: Job, plan: dict[str, Any], journal: Journal, lengths: Lengths) -> dict[str, Any]:
    """Return the summary, and write it to dataset.json if the shards of all parts are complete."""
    parts = job.options.part[1]
    journals = []
    missing = []
    for part in range(1, parts + 1):
        other = Journal(journal_path(job.out, part, parts), plan)
        if other.path == journal.path:
            other = journal
        elif other.path.exists():
            other.load()
            other.entries = {name: entry for name, entry in other.entries.items() if _belongs(job, entry)}
        journals.append(other)
        if len(other.entries) < len(_all_shards(job)[part - 1 :: parts]):
            missing.append(f"{part}/{parts}")
    entries = {name: entry for each in journals for name, entry in each.entries.items()}
    result = summary.summarize(plan, job.source, entries.values())
    if not missing:
        result |= examine_entries(job.out, job.source, entries.values())
        write_atomically(job.out / DATASET_FILE, summary.to_json(result), RESUME)
        for each in journals:
            each.path.unlink(missing_ok=True)
        _index_records(job, lengths)
    return result | {"missing_parts": missing, "ignored_files": job.source.ignored}


def _index_records(job: Job, lengths: Lengths) -> None:
    """Write where each record lies. Nothing depends on it: training makes it again if it is missing."""
    for split in job.shard_counts:
        load_index(job.out, split, job.source.kind, known=lengths)


def _rewrite_missing_files(
    job: Job, plan: dict[str, Any], folder: OutputFolder, on_progress: Progress
) -> dict[str, Any]:
    """Write what is missing in finished records (--resume). Shards must have the same bytes as before."""
    stored = summary.load(job.out)
    for journal in job.out.glob(JOURNAL_PATTERN):  # the run was killed after it wrote dataset.json
        journal.unlink()
    plan = plan | {"parts": stored["plan"].get("parts")}  # parts do not change the records
    check_plan(job.out, stored["plan"], plan)
    if not (job.out / LABELS_FILE).exists():
        _write_labels(job, folder)
    digests = {}
    for shard in _all_shards(job):
        info = stored["splits"][shard.split]
        if not is_complete(job.out / job.shard_name(shard), info["shard_examples"][shard.number]):
            digests[shard] = info["shard_digests"][shard.number]
    remove_partial(job.out, {job.shard_name(shard) for shard in digests})

    def check_digest(entry: dict[str, Any]) -> None:
        if entry["digest"] != digests[ShardId(entry["split"], entry["index"])]:
            (job.out / entry["shard"]).unlink()
            raise DataError(
                f"shard {entry['shard']} differs from the one that was written before, because images have changed;"
                " write the records again"
            )

    try:
        lengths = _write_shards(job, list(digests), check_digest, on_progress)
    except OSError as error:
        raise write_error(job.out, error, RESUME) from error
    _index_records(job, lengths)
    kept = len(_all_shards(job)) - len(digests)
    return stored | {"missing_parts": [], "ignored_files": job.source.ignored, "kept_shards": kept}
