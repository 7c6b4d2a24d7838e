"""Checks the checksums, the number and the images of records, to explain why reading them failed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from mnasnet_cli.errors import DataError
from mnasnet_cli.records.coco_example import coco_fault
from mnasnet_cli.records.dataset_info import DatasetInfo
from mnasnet_cli.records.keys import ENCODED, FILENAME, LABEL
from mnasnet_cli.records.shards import COMMANDS, find_shards
from mnasnet_cli.records.tfrecord import decode_example, read_records
from mnasnet_cli.system.shell import command


def verify_records(info: DatasetInfo, *, images: bool = False) -> None:
    """Read a folder of records from end to end.

    Args:
      images: decode every image, and check its label or boxes.

    Raises:
      DataError: a shard is damaged or has another number of records than the folder's summary says, or the image, the
        label or the boxes of a record can't be used. The message names the first one.
    """
    for split, about in info.splits.items():
        for path, expected in zip(find_shards(info.directory, split), about.shard_examples, strict=True):
            found = 0
            for record in read_records(path):
                if images:
                    _check_example(record, path, found, info)
                found += 1
            _check_count(info, path, found, expected)


def check_counts(info: DatasetInfo, split: str, counts: Sequence[int]) -> None:
    """Raise DataError if shards have other numbers of records than the folder's summary says."""
    paths, expected = find_shards(info.directory, split), info.splits[split].shard_examples
    for path, found, written in zip(paths, counts, expected, strict=True):
        _check_count(info, path, found, written)


def _check_count(info: DatasetInfo, path: Path, found: int, expected: int) -> None:
    if found != expected:
        raise DataError(
            f"{path} holds {found} records, but {expected} were written; remove the file and write it again with "
            f"`{command(COMMANDS[info.kind], 'SOURCE', info.directory, '--resume')}`"
        )


def _check_example(record: bytes, path: Path, number: int, info: DatasetInfo) -> None:
    where = f"{path}, record {number}"
    try:
        example = decode_example(record)
    except ValueError as error:
        raise DataError(f"{where} is not a tf.train.Example: {error!r}") from None
    name = b"".join(value for value in example.get(FILENAME, []) if isinstance(value, bytes)).decode("utf-8", "replace")
    fault = coco_fault(example, info.classes) if info.kind == "coco" else _label_fault(example, info.classes)
    if fault:
        raise DataError(f"{where} ({name}): {fault}")
    try:
        tf.io.decode_image(example[ENCODED][0], channels=3, expand_animations=False)
    except tf.errors.OpError as error:
        reason = re.sub(r"\{\{.*?\}\} | \[Op:.*", "", str(error.message).splitlines()[0])
        again = command(COMMANDS[info.kind], "SOURCE", path.parent, "--verify", "--on-bad-image", "skip")
        raise DataError(
            f"{where}: the image {name} can't be decoded ({reason}); write the records again with `{again}`"
        ) from None


def _label_fault(example: Mapping[str, Sequence[Any]], classes: int) -> str:
    if len(example.get(ENCODED, ())) != 1 or len(example.get(LABEL, ())) != 1:
        return "it is not an ImageNet-style record, which has one image and one label"
    label = example[LABEL][0]
    if not isinstance(label, int) or not 1 <= label <= classes:
        return f"it has the label {label!r}, expected 1..{classes} (see labels.txt)"
    return ""
