"""Reads the text of a label file as rows of cells: CSV with any usual delimiter, lines with blanks, or JSON."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from data_prep.classification.image_names import is_image
from mnasnet_cli.errors import DataError
from mnasnet_cli.records.image_files.kinds import IMAGE_SUFFIXES
from mnasnet_cli.system.documents import is_text, parse_json

DELIMITERS = (",", ";", "\t", "|")
SAMPLE = 200  # rows from which the delimiter and the columns are found
_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_FILE_AND_REST = re.compile(rf"(.*?(?:{'|'.join(map(re.escape, IMAGE_SUFFIXES))}))\s+(\S.*)", re.IGNORECASE)
_WORD_AND_REST = re.compile(r"(\S+)\s+(\S.*)")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
_EXCEL_DELIMITER = re.compile(r"\Asep=.\r?\n")  # a first line that some programs write for Excel
Known = Callable[[str], bool]


class Row(NamedTuple):
    """The cells of one row, without blanks around them, and its line number."""

    line: int
    cells: list[str]


@dataclass
class Rows:
    """The rows of a label file. encoding: "" if it is Unicode. joined: rows whose last cell held the delimiter."""

    rows: list[Row]
    encoding: str = ""
    joined: Sequence[Row] = ()
    has_header: bool = False


def read_rows(name: str, data: bytes, is_known_file: Known, is_column_name: Known) -> Rows:
    """Return the rows of a label file; blank lines are left out.

    Args:
        name: of the file, for messages.
        data: its bytes: UTF-8, UTF-16 with a byte order mark, or Windows-1252.
        is_known_file: tells whether a cell names one of the images.
        is_column_name: tells whether a cell is the name of a column.

    Raises DataError if it is not text, or not a table.
    """
    text, encoding = _decode(name, data)
    text = _EXCEL_DELIMITER.sub("\n", text)
    if text.lstrip()[:1] in ("{", "[") and name.lower().endswith((".json", ".jsonl", ".ndjson")):
        return Rows(_json_rows(name, text), encoding, has_header=True)
    if not text.strip():
        raise DataError(f"{name} is empty")
    delimiter = _delimiter(text, is_known_file, is_column_name)
    if delimiter is None:
        lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        if not all(line[0] == line[-1] == '"' for _, line in lines):
            return Rows(_split_at_blanks(name, lines, is_known_file), encoding)
        delimiter = DELIMITERS[0]  # one column in quotes
    rows = list(_csv_rows(name, text, delimiter))
    joined = _join_last_cells(name, rows, delimiter)
    return Rows(rows, encoding, joined)


def _decode(name: str, data: bytes) -> tuple[str, str]:
    """Return the text, and the encoding if it is not Unicode."""
    if data.startswith(b"PK\3\4"):
        raise DataError(f"{name} is not a text file, but a workbook or a zip; save the table as CSV")
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            try:
                return data.decode(encoding), ""
            except UnicodeDecodeError as error:
                raise DataError(f"{name} is not a text file") from error
    try:
        text, encoding = data.decode(), ""
    except UnicodeDecodeError as error:
        text, encoding = data.decode("cp1252", "replace"), "Windows-1252"
        letters = sum(byte < 0x80 for byte in data)
        if letters < 0.7 * len(data) or "\ufffd" in text:
            raise DataError(f"{name} is not a text file") from error
    if "\0" in text:
        raise DataError(f"{name} is not a text file")
    return text, encoding


def _json_rows(name: str, text: str) -> list[Row]:
    """Return the rows of JSON lines, of a list of objects, or of one object {file: label}. The first is the header."""
    try:
        found = parse_json(text, name, foreign=True) if name.lower().endswith(".json") else None
        objects = _objects(name, text) if found is None else list(enumerate(_as_list(found), 1))
    except ValueError as error:
        raise DataError(f"{name} is not a table of labels: {error}") from error
    if not objects or not all(isinstance(one, dict) for _, one in objects):
        raise DataError(f'{name} has no rows: expected an object such as {{"file_name": …, "label": …}} per line')
    keys = list(dict.fromkeys(key for _, one in objects for key in one))
    rows = [Row(number, [_cell(one.get(key, "")) for key in keys]) for number, one in objects]
    for row in (Row(0, keys), *rows):
        if not all(is_text(cell) for cell in row.cells):
            raise DataError(f"{name}, row {row.line}: half a surrogate pair, which is no letter")
    return [Row(0, keys), *rows]


def _objects(name: str, text: str) -> list[tuple[int, Any]]:
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    return [(number, parse_json(line, f"{name}, line {number}", foreign=True)) for number, line in lines]


def _as_list(found: Any) -> list[Any]:
    if isinstance(found, dict) and {"images", "annotations"} <= found.keys():
        raise ValueError("this is an annotation file of boxes; for a detector, use mnasnet prepare-coco")
    if isinstance(found, dict):
        return [{"file": key, "label": value} for key, value in found.items()]
    if not isinstance(found, list):
        raise ValueError("expected a list of objects, or one object {file: label}")
    return found


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value.strip() if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _csv_rows(name: str, text: str, delimiter: str) -> Iterator[Row]:
    lines = (match[0] for match in _LINE.finditer(text))  # takes less memory than a list, or than StringIO
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    line = 1
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                yield Row(line, stripped)
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{name}, line {reader.line_num}: {error}") from error


def _delimiter(text: str, is_known_file: Known, is_column_name: Known) -> str | None:
    """Return the delimiter that makes columns of the first rows, None if there is none.

    It must give most rows the same number of cells, and a column of files or a header. If several do, the one counts
    whose cells name most images, and then the one with the most columns.
    """
    sample = "\n".join(text[: 1 << 18].splitlines()[:SAMPLE])
    best: tuple[int, int] = (0, 0)
    found = None
    for delimiter in DELIMITERS:
        if delimiter not in sample:
            continue
        try:
            rows = list(_csv_rows("", sample, delimiter))
        except DataError:
            continue
        if not rows:
            continue
        width, count = Counter(len(row.cells) for row in rows).most_common(1)[0]
        if width < 2 or count < 0.5 * len(rows):
            continue
        known = max(sum(is_known_file(row.cells[column]) for row in rows if len(row.cells) > column)
                    for column in range(width))  # fmt: skip
        names = any(is_column_name(cell) for cell in rows[0].cells) or any(map(is_image, rows[-1].cells))
        if (known or names) and (known, width) > best:
            best, found = (known, width), delimiter
    return found


def _join_last_cells(name: str, rows: list[Row], delimiter: str) -> list[Row]:
    """Put together the label of rows `file,label` that holds the delimiter without quotes. Return these rows.

    Raises DataError if a row of a wider table has another number of cells than the header.
    """
    width = len(rows[0].cells)
    joined = []
    for number, row in enumerate(rows):
        extra = row.cells[width:]
        if not any(extra):  # a delimiter at the end of the line
            rows[number] = Row(row.line, row.cells[:width] + [""] * (width - len(row.cells)))
        elif width == 2:
            rows[number] = Row(row.line, [row.cells[0], (f"{delimiter} ").join(row.cells[1:])])
            joined.append(rows[number])
        else:
            raise DataError(
                f"{name}, line {row.line}: {len(row.cells)} columns, but the first line has {width}; put quotes around"
                f" values that contain {delimiter!r}"
            )
    return joined


def _split_at_blanks(name: str, lines: list[tuple[int, str]], is_known_file: Known) -> list[Row]:
    """Return rows `file label`, or rows with a label only. A label may contain blanks."""
    rows = [Row(number, _file_and_label(line, is_known_file)) for number, line in lines]
    with_file = sum(len(row.cells) == 2 for row in rows)
    if 2 * with_file > len(rows):  # also files that are not among the images
        rows = [row if len(row.cells) == 2 else Row(row.line, _words(row.cells[0])) for row in rows]
    for row in rows:
        if len(row.cells) != len(rows[0].cells):
            raise DataError(f"{name}, line {row.line}: some lines have a file name and some have none")
    return rows


def _file_and_label(line: str, is_known_file: Known) -> list[str]:
    match = _FILE_AND_REST.fullmatch(line) or _WORD_AND_REST.fullmatch(line)
    if match and (match.re is _FILE_AND_REST or is_known_file(match[1])):
        return [match[1], match[2].strip()]
    return [line]


def _words(line: str) -> list[str]:
    match = _WORD_AND_REST.fullmatch(line)
    return [match[1], match[2].strip()] if match else [line]
