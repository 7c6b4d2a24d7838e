"""The records of a search: the training images without a share that is held out, by hash, to score nets.

The validation split of the user's records is not among them: it is used once, at the end.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mnasnet_cli.console import progress
from mnasnet_cli.errors import DataError
from mnasnet_cli.records.dataset_info import DatasetInfo, folder_fingerprint, load_dataset_info
from mnasnet_cli.records.keys import ENCODED, LABEL
from mnasnet_cli.records.shards import DATASET_FILE, LABELS_FILE, find_shards, shard_name
from mnasnet_cli.records.tfrecord import decode_example, encode_record, read_records
from mnasnet_cli.system.files import make_folder, open_lock, staged_folder, write_atomically

FOLDER = "records"
WANTED_IMAGES = 2000
"""Held out where there are enough images: two such scores differ by 1.5 points by chance."""
MAX_SHARE = 0.2
MIN_HELD_OUT = 100
"""With fewer held-out images, the order of nets is chance."""


def held_out_share(images: int) -> float:
    """Return the share of the training images that scores nets."""
    return min(MAX_SHARE, WANTED_IMAGES / max(images, 1))


def check_records(info: DatasetInfo) -> None:
    """Raise DataError if a set is too small for a search, or has no validation split."""
    images = info.splits["train"].examples if "train" in info.splits else 0
    held_out = round(images * held_out_share(images))
    if held_out < MIN_HELD_OUT:
        raise DataError(
            f"{info.directory} has {images:,} training images, too few for a search: a fifth of them, {held_out:,}, "
            f"would score the nets, expected at least {MIN_HELD_OUT}; with so few images, fine-tune a pretrained net "
            "with `mnasnet train-imagenet --config finetune --init MODEL`"
        )
    if "validation" not in info.splits or not info.splits["validation"].examples:
        raise DataError(
            f"{info.directory} has no validation images, on which the found nets are compared at the end; write the "
            "records again with `mnasnet prepare-imagenet SOURCE OUT --val-fraction 0.1`"
        )


def make_records(source: Path, run_dir: Path) -> Path:
    """Write the records of a search into its folder, unless they are there; return their folder.

    Another process that writes them already is waited for.

    Raises:
      DataError: the folder holds the records of another set.
    """
    info, folder = load_dataset_info(source, "imagenet"), run_dir / FOLDER
    make_folder(run_dir)
    while not (folder / DATASET_FILE).is_file():
        lock = open_lock(run_dir / ".records.lock")
        if lock is None:
            time.sleep(0.5)
            continue
        with lock:
            if not (folder / DATASET_FILE).is_file():
                _write(info, folder)
    if load_dataset_info(folder).fingerprint != _fingerprint(info):
        raise DataError(f"{folder} holds images of another set than {source}; choose another --run-dir")
    return folder


@dataclass
class _Split:
    """What a split has got so far."""

    counts: list[int] = field(default_factory=list)
    classes: Counter[str] = field(default_factory=Counter)

    def describe(self) -> dict[str, Any]:
        return {
            "examples": sum(self.counts),
            "shard_examples": self.counts,
            "shards": len(self.counts),
            "per_class": dict(sorted(self.classes.items())),
        }


def _write(info: DatasetInfo, folder: Path) -> None:
    shards = find_shards(info.directory, "train")
    share = held_out_share(info.splits["train"].examples)
    held_shards = max(1, round(share * len(shards)))
    splits = {"train": _Split(), "validation": _Split()}
    names = info.synsets or tuple(str(number + 1) for number in range(info.classes))
    done = 0
    with (
        staged_folder(folder, "start the search again") as staged,
        progress("hold out", info.splits["train"].examples) as bar,
    ):
        held: list[bytes] = []
        for number, path in enumerate(shards):
            train: list[bytes] = []
            for record in read_records(path):
                example = decode_example(record)
                split = "validation" if _is_held_out(example[ENCODED][0], share) else "train"
                (held if split == "validation" else train).append(encode_record(record))
                label = example[LABEL][0]
                assert isinstance(label, int)
                if 1 <= label <= len(names):
                    splits[split].classes[names[label - 1]] += 1
                done += 1
            bar.update(done)
            _flush(staged / shard_name("train", number, len(shards)), train, splits["train"])
            place = len(splits["validation"].counts)
            if (number + 1) * held_shards >= (place + 1) * len(shards):
                _flush(staged / shard_name("validation", place, held_shards), held, splits["validation"])
                held = []
        if (info.directory / LABELS_FILE).is_file():
            write_atomically(staged / LABELS_FILE, (info.directory / LABELS_FILE).read_bytes())
        dataset = {
            "kind": "imagenet",
            "classes": info.classes,
            "splits": {name: split.describe() for name, split in splits.items()},
            "fingerprint": _fingerprint(info),
        }
        write_atomically(staged / DATASET_FILE, json.dumps(dataset, indent=2) + "\n")


def _fingerprint(info: DatasetInfo) -> str:
    return hashlib.sha256(f"held out of {folder_fingerprint(info)}".encode()).hexdigest()


def _is_held_out(encoded: object, share: float) -> bool:
    """Return whether an image scores nets: the same for copies of it, and whatever the order of the records."""
    assert isinstance(encoded, bytes)
    return int.from_bytes(hashlib.sha256(encoded).digest()[:4]) < share * 2**32


def _flush(path: Path, records: list[bytes], split: _Split) -> None:
    write_atomically(path, b"".join(records))
    split.counts.append(len(records))
