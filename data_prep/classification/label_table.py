"""A label file: which image has which class, and perhaps which split."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from data_prep.classification.label_columns import FALSE, TRUE, Columns, find_columns, is_column_name, plain
from data_prep.classification.label_text import Row, Rows, read_rows
from data_prep.split_names import split_of
from mnasnet_cli.errors import DataError
from mnasnet_cli.records.findings import Findings

# Kaggle's ImageNet files have the classes and boxes of an image: "n01440764 1 2 3 4 n01440764 5 6 7 8".
_LABEL_AND_BOX = re.compile(r"(\S+)(?:\s+-?\d+(?:\.\d+)?){4}(?:\s.*)?")
_WHOLE_NUMBER = re.compile(r"(-?\d+)\.0+")
NO_CLASS = ("unlabeled", "unlabelled")  # Roboflow's column of images without a class


class LabelRow(NamedTuple):
    """A row: its line number, the image's name ("" in a table by order), its class, and its split or ""."""

    line: int
    file: str
    label: str
    split: str = ""


@dataclass
class LabelTable:
    """The rows of a label file.

    name: of the file, for messages. by_order: whether row i is of the i-th of the sorted images. columns: their names,
    "" without a header.
    """

    name: str
    rows: list[LabelRow]
    by_order: bool = False
    columns: str = ""
    _oddities: list[tuple[str, str, int, str]] = field(default_factory=list)  # code, message, count, example

    def report(self, findings: Findings) -> None:
        """Report what was mended in reading the table."""
        for code, message, count, example in self._oddities:
            findings.mended(code, message, count=count, example=example)


def read_label_table(
    name: str, data: bytes, is_known_file: Callable[[str], bool], *,
    asked: tuple[str, str] | None = None, classes: Collection[str] = (),
) -> LabelTable:  # fmt: skip
    """Return the table of a label file.

    Args:
        name: of the file, for messages.
        data: its bytes.
        is_known_file: tells whether a cell names one of the images.
        asked: the columns with the file and the label, by name or number from 1; None: they are found.
        classes: the known classes, empty if none is known yet.

    Raises DataError if the file is not text, is empty, has no such columns, or gives an image several classes.
    """
    wanted = {plain(column) for column in asked or ()}
    found = read_rows(name, data, is_known_file, lambda cell: is_column_name(cell) or plain(cell) in wanted)
    columns = find_columns(name, found.rows, is_known_file, asked=asked, classes=classes, has_header=found.has_header)
    rows = found.rows[1:] if columns.header else found.rows
    if not rows:
        raise DataError(f"{name} is empty: it has a header only")
    read_label = _one_hot_label(name, columns) if columns.one_hot else _plain_label(columns)
    labels = _without_decimals([read_label(row) for row in rows])
    _check_not_nested(name, str(columns), labels)
    files = (
        [row.cells[columns.file].replace("\\", "/") for row in rows] if columns.file is not None else [""] * len(rows)
    )
    splits = (
        [split_of(row.cells[columns.split]) or "" for row in rows] if columns.split is not None else [""] * len(rows)
    )
    labelled = [
        LabelRow(row.line, file, sys.intern(label), split)
        for row, file, label, split in zip(rows, files, labels, splits, strict=True)
    ]
    return LabelTable(name, labelled, columns.file is None, str(columns), _oddities(name, found, columns))


def _check_not_nested(name: str, columns: str, labels: Sequence[str]) -> None:
    """Raise DataError if the labels are lists or objects of JSON, such as the boxes of Hugging Face's image folders."""
    given = [label for label in labels if label]
    if given and all(label[0] + label[-1] in ("{}", "[]") and len(label) > 1 for label in given):
        raise DataError(
            f"{name} has no class for each image, but lists or objects such as {given[0][:60]!r}"
            f" (columns {columns or '1'}); name a column with one class: --label-columns FILE,LABEL"
        )


def _oddities(name: str, found: Rows, columns: Columns) -> list[tuple[str, str, int, str]]:
    oddities = []
    if found.encoding:
        message = f"label file is not UTF-8 and was read as {found.encoding}"
        oddities.append(("label-file-encoding", message, 1, name))
    joined = [row for row in found.joined if row is not found.rows[0] or not columns.header]
    if joined:
        example = f"line {joined[0].line} of {name}: {joined[0].cells[1]}"
        oddities.append(("label-with-delimiter", "labels hold the delimiter without quotes", len(joined), example))
    return oddities


def _plain_label(columns: Columns) -> Callable[[Row], str]:
    def label(row: Row) -> str:
        text = row.cells[columns.label or 0]
        if not text.isprintable():  # tabs and line breaks would end up in labels.txt
            text = " ".join(text.split())
        match = _LABEL_AND_BOX.fullmatch(text)
        return match[1] if match else text

    return label


def _one_hot_label(name: str, columns: Columns) -> Callable[[Row], str]:
    def label(row: Row) -> str:
        chosen = []
        for column in columns.one_hot:
            cell = row.cells[column].lower()
            if cell in TRUE:
                chosen.append(columns.header[column])
            elif cell not in FALSE:
                raise DataError(f"{name}, line {row.line}: {columns.header[column]} is {cell!r}, expected 0 or 1")
        if len(chosen) > 1:
            raise DataError(
                f"{name}, line {row.line}: {len(chosen)} classes are 1 ({', '.join(chosen[:5])}); a classifier needs"
                " one class for each image"
            )
        return chosen[0] if chosen and plain(chosen[0]) not in NO_CLASS else ""

    return label


def _without_decimals(labels: Sequence[str]) -> list[str]:
    """Turn "1.0" into "1" if all labels are whole numbers: some programs store a column of numbers so."""
    if all(_WHOLE_NUMBER.fullmatch(label) for label in labels if label):
        return [label.split(".")[0] for label in labels]
    return list(labels)
