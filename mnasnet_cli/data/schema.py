"""What stands in the records: keys, encode and decode side by side, shard names, and the summary of a record folder.

ImageNet records carry the keys of TF-Slim's and the TPU code's, so either program reads the other's.
Labels are 1..N in the sorted order of the synsets; 0 is background.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnasnet_cli.data.shard_files import (
    DATASET_FILE,
    JOURNAL_PATTERN,
    LABELS_FILE,
    SPLITS,
    find_shards,
    shard_groups,
    shard_name,
    split_name,
)
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

# Users of records need to know this module only.
__all__ = [
    "DATASET_FILE", "JOURNAL_PATTERN", "LABELS_FILE", "SPLITS", "count_records", "decode_example", "encode_example",
    "find_shards", "frame_record", "read_records", "shard_groups", "shard_name", "split_name",
]  # fmt: skip

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


def verify_shards(paths: Iterable[Path]) -> int:
    """Hold every byte of the shards against its CRC and return the number of records.

    Raises DataError naming the first corrupt shard, the record in it and the byte where that record starts.
    """
    return sum(1 for path in paths for _ in read_records(path))


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
