"""Collects facts from record files, ours and those of other programs, with worker processes. Nothing is decoded."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from mnasnet_cli.errors import DataError
from mnasnet_cli.health.collection import Collection, SplitFacts
from mnasnet_cli.health.facts import NO_BOXES, NO_LABEL, Facts, ImageBoxes
from mnasnet_cli.records import keys
from mnasnet_cli.records.dataset_info import load_dataset_info, read_labels
from mnasnet_cli.records.describe import record_files
from mnasnet_cli.records.image_header import StoredHeader, read_stored_header
from mnasnet_cli.records.shards import DATASET_FILE, LABELS_FILE, SPLITS
from mnasnet_cli.records.tfrecord import decode_example, read_records, record_offsets
from mnasnet_cli.system.machine import core_count
from mnasnet_cli.system.workers import Report, run_tasks

CHUNK = 1_000  # records that a worker reads for one task
FEW = 2_000  # records that are read without workers
OVERSHOOT = 0.01  # a box whose side is further outside than this share of the image's side reaches beyond the image
LARGEST_LABEL = 2**31 - 1


class Chunk(NamedTuple):
    """Some records of a file: the number of the first one, its byte offset, and how many there are."""

    file: Path
    first: int
    offset: int
    records: int


def scan(path: Path, *, on_progress: Callable[[int, int], None] = lambda done, total: None) -> Collection:
    """Return the facts of a record file or folder. on_progress(done, total) is called with numbers of records.

    Raises DataError if a file is damaged or contains something else.
    """
    splits = scan_files(record_files(path), on_progress=on_progress)
    folder = path if path.is_dir() else path.parent
    if path.is_dir() and (path / DATASET_FILE).is_file():
        info = load_dataset_info(path)
        return Collection(info.kind, info.synsets, info.texts, splits)
    columns = [part.facts.columns for part in splits.values()]
    names = {label: name for part in splits.values() for label, name in part.facts.names.items()}
    keys_listed, texts = read_labels(folder / LABELS_FILE)
    if any(label < 0 for label in names):
        texts = texts or tuple(sorted(name for label, name in names.items() if label < 0))
        _number_texts(splits.values(), names, texts)
        return Collection("coco", keys_listed or texts, texts, splits)
    kind = "unknown"
    if any(label != NO_LABEL for one in columns for label in one["label"]):
        kind = "imagenet"
    elif any(count != NO_BOXES for one in columns for count in one["boxes"]):
        kind = "coco"
    if not keys_listed:
        column = "box_label" if kind == "coco" else "label"
        numbers = range(1, max((label for one in columns for label in one[column]), default=0) + 1)
        keys_listed = tuple(map(str, numbers))
        texts = tuple(names.get(label, str(label)) for label in numbers)
    return Collection(kind, keys_listed, texts, splits)


def _number_texts(splits: Iterable[SplitFacts], names: Mapping[int, str], texts: Sequence[str]) -> None:
    """Replace the numbers that stand for texts by labels: text i is at i - 1. Label 0 is an unknown text."""
    labels = {text: label for label, text in enumerate(texts, 1)}
    table = {number: labels.get(name, 0) for number, name in names.items() if number < 0}
    for part in splits:
        part.facts.relabel_boxes(lambda label: table.get(label, label))


def scan_files(
    files: Mapping[str, Sequence[Path]], *, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, SplitFacts]:
    """Return split → facts of record files. Many records are read on all cores."""
    chunks: list[tuple[str, Chunk]] = []
    for split, paths in files.items():
        for file in paths:
            offsets = record_offsets(file)
            chunks += [
                (split, Chunk(file, first, offsets[first], min(CHUNK, len(offsets) - first)))
                for first in range(0, len(offsets), CHUNK)
            ]
    total = sum(chunk.records for _, chunk in chunks)
    found: dict[Chunk, Facts] = {}
    if total <= FEW:
        found = dict(scan_chunk(None, chunk, lambda done: None) for _, chunk in chunks)
    else:
        run_tasks(
            scan_chunk, None, [chunk for _, chunk in chunks], processes=core_count(),
            on_result=lambda result: found.__setitem__(*result), on_progress=lambda done: on_progress(done, total),
        )  # fmt: skip
    splits = {split: SplitFacts() for split in sorted(files, key=_rank)}
    for split, chunk in chunks:
        splits[split].extend(chunk.file, found.pop(chunk))
    return splits


def _rank(split: str) -> tuple[int, str]:
    return SPLITS.index(split) if split in SPLITS else len(SPLITS), split


def scan_chunk(shared: None, chunk: Chunk, report: Report) -> tuple[Chunk, Facts]:
    """Read some records in a worker process."""
    facts = Facts()
    records = read_records(chunk.file, first=chunk.first, offset=chunk.offset)
    for number, data in enumerate(islice(records, chunk.records)):
        try:
            example = decode_example(data)
        except ValueError as error:
            raise DataError(f"{chunk.file}: record {chunk.first + number} is not a tf.train.Example") from error
        _add_example(facts, number, example)
        report(number + 1)
    return Chunk(*chunk), facts


def _add_example(facts: Facts, number: int, example: Mapping[str, Any]) -> None:
    encoded = next(iter(example.get(keys.ENCODED, ())), b"")
    header = read_stored_header(encoded) if encoded else None
    width, height = _size(facts, number, example, header)
    if header is None:
        facts.add_problem("no-image", number)
    else:
        if not header.decodable:
            facts.add_problem("undecodable-image", number)
        if header.orientation != 1:
            facts.add_problem("turned-image", number)
    label = _label(facts, example)
    boxes = _boxes(facts, number, example, width, height)
    facts.add(encoded, width, height, header.channels if header else 0, label, boxes)


def _size(facts: Facts, number: int, example: Mapping[str, Any], header: StoredHeader | None) -> tuple[int, int]:
    """Return (width, height) of the encoded image in px, or those of the record if it cannot be read."""
    stored = [next(iter(example.get(key, ())), 0) for key in (keys.WIDTH, keys.HEIGHT)]
    if header is None:
        return max(0, stored[0]), max(0, stored[1])
    if all(stored) and stored != [header.width, header.height]:
        facts.add_problem("size-differs", number)
    return header.width, header.height


def _label(facts: Facts, example: Mapping[str, Any]) -> int:
    """Return the class of an image, NO_LABEL if it has none."""
    labels = example.get(keys.LABEL)
    if not labels:
        return NO_LABEL
    text = example.get(keys.TEXT) or example.get(keys.SYNSET)
    if text:
        facts.names.setdefault(labels[0], _text(text[0]))
    return max(0, min(labels[0], LARGEST_LABEL))


def _boxes(facts: Facts, number: int, example: Mapping[str, Any], width: int, height: int) -> ImageBoxes | None:
    """Return the boxes of an example with finite sides, None if it has no keys of boxes."""
    if keys.BOX_SIDES[0] not in example:
        return None
    columns = [example.get(side, ()) for side in keys.BOX_SIDES]
    labels, texts = example.get(keys.OBJECT_LABEL, ()), list(map(_text, example.get(keys.OBJECT_TEXT, ())))
    count = len(columns[0])
    if any(len(column) != count for column in (*columns, labels or texts)):
        facts.add_problem("uneven-lists", number)
    if labels:
        facts.names.update(zip(labels, texts, strict=False))
    else:  # a text gets a negative number, the same in all workers, until all texts are known
        labels = [-1 - (zlib.crc32(text.encode()) >> 1) for text in texts]
        facts.names.update(zip(labels, texts, strict=True))
    rows = [_usable(facts, number, box) for box in zip(*columns, strict=False)][: len(labels)]
    areas = example.get(keys.AREA, ())
    if len(areas) != count:
        areas = [(box[2] - box[0]) * height * (box[3] - box[1]) * width for box in rows]
    crowds = [*example.get(keys.IS_CROWD, ()), *[0] * count]
    size = len(rows)
    in_range = [max(-LARGEST_LABEL, min(label, LARGEST_LABEL)) for label in labels[:size]]
    return ImageBoxes(rows, in_range, crowds[:size], areas[:size])


def _usable(facts: Facts, number: int, box: Sequence[float]) -> Sequence[float]:
    """Return a box, or an empty one if it is unusable, and count what is wrong with it."""
    if not all(map(math.isfinite, box)):
        facts.add_problem("box-without-area", number)
        return (0.0, 0.0, 0.0, 0.0)
    if min(box) < -OVERSHOOT or max(box) > 1 + OVERSHOOT:
        facts.add_problem("boxes-overshoot", number)
    top, left, bottom, right = (min(max(side, 0.0), 1.0) for side in box)
    if bottom <= top or right <= left:
        facts.add_problem("box-without-area", number)
        return (0.0, 0.0, 0.0, 0.0)
    return box


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
