"""The health of the records that a preparation has written, from the facts in its journals."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from pathlib import Path
from typing import Any

from data_prep.writing.shard_job import Source
from mnasnet_cli.health.collection import Collection, SplitFacts
from mnasnet_cli.health.examination import examine
from mnasnet_cli.health.facts import Facts
from mnasnet_cli.health.scan import scan_files
from mnasnet_cli.records.shards import SPLITS


def examine_entries(out: Path, source: Source, entries: Iterable[MutableMapping[str, Any]]) -> dict[str, Any]:
    """Return what dataset.json says of the health: `health`, `findings` and `images_in_both_splits`.

    out: the folder of the records. entries: the journal entries of all shards; their facts are removed to save memory.
    A shard whose entry has no facts, because an older version wrote it, is read.
    """
    ordered = sorted(entries, key=lambda entry: (SPLITS.index(entry["split"]), entry["index"]))
    read = scan_files({entry["shard"]: [out / entry["shard"]] for entry in ordered if "facts" not in entry})
    splits: dict[str, SplitFacts] = {}
    for entry in ordered:
        name = entry["shard"]
        facts = read[name].facts if name in read else Facts.parse(entry.pop("facts"))
        splits.setdefault(entry["split"], SplitFacts()).extend(out / name, facts)
    health = examine(Collection(source.kind, source.class_keys, source.texts, splits), source.findings)
    return {
        "findings": health.findings.to_list(),
        "images_in_both_splits": health.images_in_both_splits,
        "health": health.summary(),
    }
