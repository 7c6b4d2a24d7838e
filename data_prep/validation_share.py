"""A validation split for a source that has none: a share of its training images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from data_prep.files.content_digest import UNREADABLE, content_digests
from data_prep.files.file_list import FileList
from data_prep.options import Options
from mnasnet_cli.errors import ConfigError
from mnasnet_cli.records.findings import Findings

DEFAULT_FRACTION = 0.1
TableT = TypeVar("TableT", bound=FileList)


def with_validation(tables: Mapping[str, TableT], options: Options, findings: Findings) -> dict[str, TableT]:
    """Return the tables, where "validation" is a share of the images of "train" if the source has no validation split.

    A finding says how many images were taken. --val-fraction sets the share; with 0, the tables are returned as they
    are. The choice is that of `choose_validation`. Call this when all tables are complete. A subclass of FileList with
    columns of its own must take them in its `select`.

    Raises ConfigError if --val-fraction is given, but the source has a validation split.
    """
    fraction = options.val_fraction
    if "validation" in tables:
        if fraction is not None:
            raise ConfigError(
                f"--val-fraction {fraction:g} is for a source without a validation split, but this one has"
                f" {len(tables['validation']):,} validation images; leave it out"
            )
        return dict(tables)
    if fraction == 0 or "train" not in tables:
        return dict(tables)
    train, validation = share_validation(tables["train"], DEFAULT_FRACTION if fraction is None else fraction)
    if not len(validation):
        findings.suspect(
            "no-validation-share", "images, but no class has two different pictures, so none was taken for validation",
            split="train", count=len(train), advice="add pictures",
        )  # fmt: skip
        return dict(tables)
    total = len(train) + len(validation)
    findings.note(
        "validation-share", f"of {total:,} images were taken for validation, because the source has no validation split"
        " (--val-fraction)", count=len(validation),
    )  # fmt: skip
    others = {split: table for split, table in tables.items() if split != "train"}
    return {"train": train, "validation": validation, **others}


def share_validation(table: TableT, fraction: float) -> tuple[TableT, TableT]:
    """Return the images for training and those for validation, both in the order of `table`."""
    chosen = choose_validation(content_digests(table), *table.classes(), fraction)
    return table.select(np.flatnonzero(~chosen)), table.select(np.flatnonzero(chosen))


def choose_validation(digests: np.ndarray, images: np.ndarray, classes: np.ndarray, fraction: float) -> np.ndarray:
    """Return which images are for validation: bool [n].

    An image is chosen if its digest is in the lowest `fraction` of all possible ones. So an image stays on its side
    when the set grows, and copies are on the same side. If none of the pictures of a class is chosen, the one with the
    lowest digest is. The one with the highest is never chosen, so every class stays in training. An image that cannot
    be read is not chosen.

    Args:
        digests: uint64 [n], of the content of the images; see `content_digests`.
        images, classes: [m], image images[i] shows class classes[i], from 1; an image may show several, or none.
        fraction: 0 to below 1.
    """
    readable = digests != UNREADABLE
    images = np.append(np.arange(len(digests)), images)  # all images together are a class, too: 0
    classes = np.append(np.zeros(len(digests), np.int64), classes)[readable[images]]
    pictures = np.unique(np.stack([classes.astype(np.uint64), digests[images[readable[images]]]], 1), axis=0)  # sorted
    _, starts, counts = np.unique(pictures[:, 0], return_index=True, return_counts=True)
    limit = np.uint64(int(fraction * UNREADABLE))
    chosen = set(pictures[pictures[:, 1] < limit, 1].tolist())
    lowest, highest = pictures[starts, 1], pictures[starts + counts - 1, 1]
    chosen |= set(lowest.tolist())
    chosen -= set(highest.tolist())
    return np.isin(digests, np.array(sorted(chosen), np.uint64)) & readable
