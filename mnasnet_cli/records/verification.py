"""Compares record files with what was written: the checksum of each record, and the digest of each shard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mnasnet_cli.errors import DataError
from mnasnet_cli.records.dataset_file import read_dataset_file
from mnasnet_cli.records.describe import record_files
from mnasnet_cli.records.shards import DATASET_FILE, shard_digest
from mnasnet_cli.records.tfrecord import frame_record, read_records


def verify_records(path: Path, on_progress: Callable[[int, int], None] = lambda done, total: None) -> int:
    """Read all records of a file or folder, compare them with their checksums and dataset.json; return the shards.

    on_progress: called with the numbers of shards that are done, and of all.

    Raises DataError with the first damaged shard; of a damaged record with its number and byte offset.
    """
    splits = record_files(path)
    known = read_dataset_file(path)["splits"] if (path / DATASET_FILE).is_file() else {}
    total, done = sum(map(len, splits.values())), 0
    for split, shards in splits.items():
        digests = known[split].get("shard_digests", []) if split in known else []
        for number, shard in enumerate(shards):
            found = shard_digest(b"".join(frame_record(data)[1] for data in read_records(shard)))
            if number < len(digests) and found != digests[number]:
                raise DataError(
                    f"{shard} holds other records than were written (digest {found}, expected {digests[number]}); "
                    "copy the shard from a backup, or remove it and write it again with --resume"
                )
            done += 1
            on_progress(done, total)
    return done
