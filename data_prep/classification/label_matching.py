"""Gives the images of flat folders the classes that a label file names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import unquote

from data_prep.classification.image_names import file_key, stem
from data_prep.classification.label_table import LabelRow, LabelTable
from data_prep.split_names import split_of
from mnasnet_cli.errors import DataError
from mnasnet_cli.records.findings import Findings
from mnasnet_cli.system.documents import is_number


class FlatImage(NamedTuple):
    """An image that a label file may name: its path from SOURCE, with "/", and its split, "" if no folder says it."""

    path: str
    split: str = ""


@dataclass
class Matched:
    """Which row belongs to which image.

    rows: image number → row. missing: rows whose file is not there. respelled: rows that name their image in another
    spelling. repeated: rows that say the same again.
    """

    rows: dict[int, LabelRow] = field(default_factory=dict)
    missing: list[LabelRow] = field(default_factory=list)
    respelled: list[tuple[LabelRow, str]] = field(default_factory=list)
    repeated: list[LabelRow] = field(default_factory=list)

    def report(self, table: LabelTable, findings: Findings) -> None:
        """Report what was odd."""
        name = table.name
        if self.respelled:
            row, path = self.respelled[0]
            findings.mended(
                "label-file-spelling", f"names in {name} differ from those of the files in case, normal form or suffix",
                count=len(self.respelled), example=f"{row.file} for {path}",
            )  # fmt: skip
        if self.repeated:
            row = self.repeated[0]
            findings.mended("label-repeated", f"rows of {name} repeat an earlier one", count=len(self.repeated),
                            example=f"line {row.line} ({row.file})")  # fmt: skip


def report_missing(tables: Sequence[tuple[LabelTable, Matched]], index: ImageIndex, findings: Findings) -> None:
    """Report the files that label files name and that are not among all images of `index`."""
    missing = [row for _, matched in tables for row in matched.missing if row.file not in index]
    if missing:
        total = sum(len(table.rows) for table, _ in tables)
        names = " and ".join(table.name for table, _ in tables)
        findings.suspect(
            "labelled-file-missing", f"of {total:,} files that {names} names are missing", count=len(missing),
            example=missing[0].file, advice="check whether the set is complete",
        )  # fmt: skip


class ImageIndex:
    """Finds images by the names that a label file gives them.

    The path may be complete, without the suffix, from another folder, or in another spelling. Of several images, the
    one counts that shares most folders with the name, and then the one of the earliest split.
    """

    def __init__(self, images: Sequence[FlatImage]) -> None:
        self.images = images
        self._paths = {image.path: number for number, image in enumerate(images)}
        self._keys: dict[str, int] = {}
        self._more: dict[str, list[int]] = {}  # further images with the same key: few, and lists are large
        for number, image in enumerate(images):
            key = file_key(image.path)
            if self._keys.setdefault(key, number) != number:
                self._more.setdefault(key, []).append(number)

    def __contains__(self, name: str) -> bool:
        return file_key(name.replace("\\", "/")) in self._keys

    def find(self, row: LabelRow) -> tuple[int, bool] | None:
        """Return the number of a row's image, and whether its name is spelled in another way. None: there is none.

        Raises DataError if several images fit equally well.
        """
        name = row.file.removeprefix("./")
        number = self._paths.get(name)
        if number is not None:
            return number, False
        found = self._with_key(file_key(name)) or self._with_key(file_key(unquote(name)))
        split = row.split or next(filter(None, map(split_of, name.split("/")[:-1])), "")
        found = [number for number in found if not split or self.images[number].split in ("", split)]
        if len(found) > 1:
            found = self._closest(name, found)
        if not found:
            return None
        if len(found) > 1:
            first, second = (self.images[number].path for number in found[:2])
            raise DataError(
                f"{row.file} in line {row.line} may be {first} or {second}; write the folder before the name"
            )
        last = os.path.basename(self.images[found[0]].path)
        return found[0], os.path.basename(name) not in (last, stem(last))

    def _with_key(self, key: str) -> list[int]:
        return [self._keys[key], *self._more.get(key, ())] if key in self._keys else []

    def _closest(self, name: str, found: list[int]) -> list[int]:
        """Return the images that fit a name best: by common folders, by the same spelling, and by the split."""
        folders = name.split("/")[-2::-1]

        def fit(number: int) -> tuple[int, bool, bool]:
            path = self.images[number].path
            *others, last = path.split("/")
            common = 0
            for ours, theirs in zip(folders, reversed(others), strict=False):
                if ours != theirs:
                    break
                common += 1
            return common, name.endswith(last), os.path.basename(name) == stem(last)

        best = max(map(fit, found))
        found = [number for number in found if fit(number) == best]
        splits = [self.images[number].split for number in found]
        return (
            found if len(set(splits)) == 1 else [found[splits.index(first)] for first in _ORDER if first in splits][:1]
        )


_ORDER = ("train", "validation", "test", "")


def match_by_name(table: LabelTable, index: ImageIndex) -> Matched:
    """Find the image of each row. Raises DataError if an image has two labels, or if a name fits several images."""
    matched = Matched()
    for row in table.rows:
        try:
            found = index.find(row)
        except DataError as error:
            raise DataError(f"{table.name}: {error}") from None
        if found is None:
            matched.missing.append(row)
            continue
        number, respelled = found
        if respelled:
            matched.respelled.append((row, index.images[number].path))
        other = matched.rows.setdefault(number, row)
        if other is row:
            continue
        if other.label != row.label:
            raise DataError(
                f"{table.name} gives {row.file} two labels: {other.label!r} in line {other.line} and {row.label!r} in"
                f" line {row.line}; keep one"
            )
        matched.repeated.append(row)
    return matched


def match_by_order(table: LabelTable, images: Sequence[FlatImage], what: str) -> Matched:
    """Give the sorted images the rows in their order. Raises DataError if their numbers differ."""
    if len(table.rows) != len(images):
        raise DataError(f"{table.name} has {len(table.rows):,} labels for {len(images):,} {what} images")
    order = sorted(range(len(images)), key=lambda number: images[number].path)
    return Matched(dict(zip(order, table.rows, strict=True)))


def sort_classes(labels: Iterable[str]) -> list[str]:
    """Return the classes in order: by number if all are numbers, else by name."""
    classes = set(labels)
    if all(is_number(label.removeprefix("-")) for label in classes):
        return sorted(classes, key=lambda label: (int(label), label))
    return sorted(classes)
