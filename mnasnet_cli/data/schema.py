"""What stands in the records: keys, encode and decode side by side, shard names, and the summary of a record folder.

ImageNet records carry the keys of TF-Slim's and the TPU code's, so either program reads the other's.
Labels are 1..N in the sorted order of the synsets; 0 is background.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnasnet_cli.data.tfrecord import (
    count_records,
    decode_example,
    encode_entry,
    encode_example,
    frame_record,
    join_entries,
    read_records,
)
from mnasnet_cli.errors import DataError

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["count_records", "decode_example", "encode_example", "frame_record", "read_records"]

ENCODED = "image/encoded"
FORMAT = "image/format"
HEIGHT = "image/height"
WIDTH = "image/width"
COLORSPACE = "image/colorspace"
CHANNELS = "image/channels"
FILENAME = "image/filename"
LABEL = "image/class/label"
SYNSET = "image/class/synset"
TEXT = "image/class/text"

SPLITS = ("train", "validation")
DATASET_FILE = "dataset.json"
LABELS_FILE = "labels.txt"
JOURNAL_PATTERN = "unfinished-part-*-of-*.jsonl"  # what a writer has done so far; gone once dataset.json is there


def encode_imagenet_example(
    encoded: bytes, *, label: int, synset: str, text: str, filename: str, height: int, width: int, channels: int = 3
) -> bytes:
    """Return one serialised tf.train.Example.

    Args:
        encoded: a JPEG file's bytes.
        label: 1..N; 0 is background.
        synset: WordNet id, such as n01440764.
        text: the class in words.
        filename: the source file's name without folders.
        height, width: pixels. channels: 3, or 1 for grayscale.
    """
    return join_entries(
        (
            _class_entries(label, synset, text, channels),
            encode_entry(ENCODED, encoded),
            encode_entry(FILENAME, filename.encode("utf-8", "surrogateescape")),
            _size_entries(height, width),
        )
    )


# Keys are written in sorted order, as protobuf's deterministic mode does. What stays the same from image to image is
# encoded once: that halves the time of an example.
@lru_cache(maxsize=4096)
def _class_entries(label: int, synset: str, text: str, channels: int) -> bytes:
    return b"".join(
        (
            encode_entry(CHANNELS, channels),
            encode_entry(LABEL, label),
            encode_entry(SYNSET, synset.encode()),
            encode_entry(TEXT, text.encode()),
            encode_entry(COLORSPACE, b"RGB" if channels == 3 else b"Grayscale"),
        )
    )


@lru_cache(maxsize=4096)
def _size_entries(height: int, width: int) -> bytes:
    return encode_entry(FORMAT, b"JPEG") + encode_entry(HEIGHT, height) + encode_entry(WIDTH, width)


def parse_imagenet_example(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """Parse one serialised example (string []) in TensorFlow, as tf.data's map wants it.

    Returns:
        image_bytes string [], label int64 [] (1..N, 0 is background), filename string [].
    """
    import tensorflow as tf

    parsed = tf.io.parse_single_example(
        serialized,
        {
            ENCODED: tf.io.FixedLenFeature([], tf.string),
            LABEL: tf.io.FixedLenFeature([], tf.int64),
            FILENAME: tf.io.FixedLenFeature([], tf.string, default_value=""),
        },
    )
    return {"image_bytes": parsed[ENCODED], "label": parsed[LABEL], "filename": parsed[FILENAME]}


# --- shards -------------------------------------------------------------------------------------------------------

_SHARD = re.compile(r"(?P<split>.+)-(?P<index>\d{5})-of-(?P<count>\d{5})$")


def shard_name(split: str, index: int, count: int) -> str:
    """Return the public name of a shard: "train-00003-of-01024"."""
    return f"{split}-{index:05d}-of-{count:05d}"


def split_name(name: str) -> str | None:
    """Return the split of a shard's file name, None where the name is no shard's."""
    match = _SHARD.match(name)
    return match["split"] if match else None


def shard_groups(directory: Path) -> dict[tuple[str, int], list[Path]]:
    """Group the shards in a folder by (split, count in the name), each in order; other files are left out."""
    groups: dict[tuple[str, int], list[Path]] = {}
    for path in sorted(directory.iterdir()) if directory.is_dir() else ():
        if match := _SHARD.match(path.name):
            groups.setdefault((match["split"], int(match["count"])), []).append(path)
    return groups


def find_shards(directory: Path, split: str) -> list[Path]:
    """Return a split's shards in order. Raises DataError naming what is missing and the command that makes it."""
    directory = Path(directory)
    command = f"mnasnet prepare-imagenet SOURCE {directory}"
    if not directory.is_dir():
        raise DataError(f"no record folder {directory}; make it with `{command}`")
    if not (directory / DATASET_FILE).exists() and any(directory.glob(JOURNAL_PATTERN)):
        raise DataError(f"the records in {directory} are unfinished; finish them with `{command} --resume`")
    groups = {count: paths for (name, count), paths in shard_groups(directory).items() if name == split}
    if not groups:
        raise DataError(f"no {split}-*-of-* records in {directory}; make them with `{command}`")
    if len(groups) > 1:
        counts = " and ".join(f"{len(paths)} of {count}" for count, paths in sorted(groups.items()))
        raise DataError(f"{directory} holds two sets of {split} shards ({counts}); remove one of them")
    [(count, paths)] = groups.items()
    names = {path.name for path in paths}
    missing = [index for index in range(count) if shard_name(split, index, count) not in names]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DataError(
            f"shard {shard_name(split, missing[0], count)}{more} is missing in {directory}; make it with `{command} --resume`"
        )
    return paths


def verify_shards(paths: Iterable[Path]) -> int:
    """Hold every byte of the shards against its CRC and return the number of records.

    Raises DataError naming the first corrupt shard, the record in it and the byte where that record starts.
    """
    return sum(1 for path in paths for _ in read_records(path))


# --- a record folder ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SplitInfo:
    """One split: number of examples, in all and by shard, and by synset where that is known."""

    examples: int
    shard_examples: tuple[int, ...]
    per_class: Mapping[str, int] = field(default_factory=dict)

    @property
    def shards(self) -> int:
        """Number of shards."""
        return len(self.shard_examples)


@dataclass(frozen=True)
class DatasetInfo:
    """What a record folder holds.

    classes: N, without background. synsets, texts: class i (1-based) stands at i - 1; empty where unknown.
    fingerprint: sha256 hex; changes with any record.
    """

    directory: Path
    kind: str
    classes: int
    splits: Mapping[str, SplitInfo]
    fingerprint: str
    synsets: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    image_sizes: Mapping[str, Any] = field(default_factory=dict)
    bad_files: tuple[Mapping[str, str], ...] = ()


def load_dataset_info(directory: Path) -> DatasetInfo:
    """Read dataset.json and labels.txt; a foreign record folder without them is counted by scanning.

    Raises DataError where there are no records, shards are missing, or dataset.json cannot be read.
    """
    directory = Path(directory)
    path = directory / DATASET_FILE
    synsets, texts = read_labels(directory / LABELS_FILE)
    if not path.exists():
        return _scan_foreign(directory, synsets, texts)
    try:
        stored = json.loads(path.read_text())
        splits = {
            name: SplitInfo(int(split["examples"]), tuple(split["shard_examples"]), split["per_class"])
            for name, split in stored["splits"].items()
        }
        classes, fingerprint, kind = int(stored["classes"]), str(stored["fingerprint"]), str(stored["kind"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"cannot read {path}: {error}; write the records again") from error
    for name, info in splits.items():
        if len(find_shards(directory, name)) != info.shards:
            raise DataError(f"{path} says {info.shards} {name} shards, but the folder holds another number of them")
    bad = tuple(stored.get("bad_files", ()))
    return DatasetInfo(
        directory, kind, classes, splits, fingerprint, synsets, texts, stored.get("image_sizes", {}), bad
    )


def read_labels(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return (synsets, texts) of a labels.txt, class i at i - 1; two empty tuples where the file isn't there."""
    if not path.exists():
        return (), ()
    rows = [line.split("\t", 1) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return tuple(row[0] for row in rows), tuple(row[-1] for row in rows)


FOREIGN_SAMPLE = 20_000  # records read to find the highest label: at 1000 classes the chance to miss it is e^-20


def _scan_foreign(directory: Path, synsets: tuple[str, ...], texts: tuple[str, ...]) -> DatasetInfo:
    names = sorted({name for name, _ in shard_groups(directory)} & set(SPLITS))
    if not names:
        find_shards(directory, "train")  # raises with the reason
    splits, digest, highest = {}, hashlib.sha256(), 0
    for name in names:
        paths = find_shards(directory, name)
        counts = tuple(count_records(path) for path in paths)
        splits[name] = SplitInfo(sum(counts), counts)
        for path, count in zip(paths, counts, strict=True):
            digest.update(f"{path.name} {path.stat().st_size} {count}\n".encode())
        if not synsets:
            highest = max(highest, *_sampled_labels(paths))
    return DatasetInfo(directory, "imagenet", len(synsets) or highest, splits, digest.hexdigest(), synsets, texts)


def _sampled_labels(paths: list[Path]) -> Iterator[int]:
    per_shard = max(16, FOREIGN_SAMPLE // len(paths))
    yield 0
    for path in paths:
        for _, data in zip(range(per_shard), read_records(path, check=False), strict=False):
            try:
                yield from decode_example(data).get(LABEL, [0])  # type: ignore[misc]
            except ValueError as error:
                raise DataError(f"{path} holds records that are no tf.train.Example") from error
