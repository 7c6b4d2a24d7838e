"""Finds the columns of a label file: which one names the image, and which one its class."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from data_prep.classification.image_names import is_image
from data_prep.classification.label_text import SAMPLE, Row
from data_prep.split_names import split_of
from mnasnet_cli.errors import DataError, nearest
from mnasnet_cli.system.documents import is_number

# Without case, blanks and punctuation. The first that a table has counts.
FILE_COLUMNS = (
    "filename", "filepath", "filepaths", "file", "files", "imagepath", "imagefile", "imagefilename", "imagename",
    "imgpath", "imgname", "image", "images", "img", "imageid", "imgid", "path", "picture", "photo", "photoid", "id",
    "uuid", "name",
)  # fmt: skip
LABEL_COLUMNS = (
    "classname", "labelname", "categoryname", "label", "labels", "class", "category", "categories", "breed", "species",
    "target", "targets", "predictionstring", "classlabel", "y", "diagnosis", "dx", "tag", "tags", "type", "variety",
    "cultivar", "genre", "emotion", "synset", "wnid", "classid", "labelid", "categoryid", "classes", "name",
)  # fmt: skip
SPLIT_COLUMNS = ("split", "subset", "dataset", "partition", "set", "fold", "phase", "mode", "usage")
BOX_COLUMNS = ("xmin", "ymin", "xmax", "ymax", "bbox", "x1", "bboxx", "width", "boundingbox")
TRUE, FALSE = ("1", "1.0", "true", "yes"), ("0", "0.0", "false", "no", "")


@dataclass(frozen=True)
class Columns:
    """The numbers of the columns of a table, from 0.

    file: None if the rows are in the order of the sorted images. label: None if `one_hot` are columns of 0 and 1, one
    for each class. split: None if there is none. header: the names of all columns, empty if the table has no header.
    """

    file: int | None
    label: int | None
    split: int | None = None
    one_hot: tuple[int, ...] = ()
    header: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.header or self.file is None:
            return ""
        label = f"{len(self.one_hot)} columns of 0 and 1" if self.label is None else self.header[self.label]
        return f"{self.header[self.file]}, {label}"


def plain(name: str) -> str:
    """Return the name of a column without case, blanks and punctuation."""
    return re.sub(r"[\W_]+", "", name).casefold()


def is_column_name(cell: str) -> bool:
    """Tell whether a cell is a usual name of a column with files or classes."""
    return plain(cell) in FILE_COLUMNS or plain(cell) in LABEL_COLUMNS


def find_columns(
    name: str, rows: Sequence[Row], is_known_file: Callable[[str], bool], *,
    asked: tuple[str, str] | None = None, classes: Collection[str] = (), has_header: bool = False,
) -> Columns:  # fmt: skip
    """Return the columns of a table.

    Args:
        name: of the table, for messages.
        rows: all rows, a header included.
        is_known_file: tells whether a cell names one of the images.
        asked: the columns of --label-columns.
        classes: the known classes, empty if none is known yet.
        has_header: whether the first row is certain to be a header.

    Raises DataError if a column is missing, or if it is not certain which one has the labels.
    """
    first, sample = rows[0].cells, rows[1 : SAMPLE + 1]
    if asked:
        return _asked_columns(name, rows, asked, is_known_file, has_header)
    if len(first) == 1:
        is_header = has_header or (len(rows) > 1 and plain(first[0]) in LABEL_COLUMNS and first[0] not in classes)
        return Columns(None, 0, header=tuple(first) if is_header else ())
    known = [sum(is_known_file(row.cells[column]) for row in sample) for column in range(len(first))]
    is_header = has_header or _is_header(first, sample, is_known_file, max(known))
    header = tuple(first) if is_header else ()
    file = _file_column(header, known, [*([] if is_header else rows[:1]), *sample])
    split = _split_column(name, header, rows[1:])
    if header:
        label, one_hot = _label_column(name, header, sample, file, split)
        return Columns(file, label, split, one_hot, header)
    return Columns(file, _label_by_content(name, rows[:SAMPLE], file, classes))


def _asked_columns(
    name: str, rows: Sequence[Row], asked: tuple[str, str], is_known_file: Callable[[str], bool], has_header: bool
) -> Columns:
    first = rows[0].cells
    named = {plain(cell): number for number, cell in reversed(list(enumerate(first)))}
    numbers = []
    by_name = False
    for column in asked:
        if plain(column) in named:
            numbers.append(named[plain(column)])
            by_name = True
        elif is_number(column) and 1 <= int(column) <= len(first):
            numbers.append(int(column) - 1)
        else:
            raise DataError(
                f"{name} has no column {column!r} (--label-columns); its {len(first)} columns are"
                f" {', '.join(first[:20])}{nearest(column, first)}"
            )
    file, label = numbers
    is_header = has_header or by_name or not (is_known_file(first[file]) or is_image(first[file]))
    header = tuple(first) if is_header else ()
    return Columns(file, label, _split_column(name, header, rows[1:]), header=header)


def _is_header(first: list[str], sample: Sequence[Row], is_known_file: Callable[[str], bool], known: int) -> bool:
    """Tell whether the first row names the columns: usual names, or no image where the other rows have one."""
    if any(is_known_file(cell) or is_image(cell) for cell in first):
        return False
    if any(is_column_name(cell) for cell in first):
        return True
    labels = {cell for row in sample for cell in row.cells}
    return 2 * known > len(sample) > 0 and not any(cell in labels for cell in first)


def _file_column(header: tuple[str, ...], known: list[int], rows: Sequence[Row]) -> int:
    """Return the column that names the images: one with a usual name whose cells do, or any whose cells do."""
    plains = [plain(cell) for cell in header]
    usual = [plains.index(name) for name in FILE_COLUMNS if name in plains]
    best = max(range(len(known)), key=lambda column: (known[column], len({row.cells[column] for row in rows})))
    for column in usual:
        if known[column] and 2 * known[column] >= known[best]:
            return column
    if known[best] and (not usual or 2 * known[best] > len(rows)):
        return best
    with_suffix = [column for column in range(len(known)) if all(is_image(row.cells[column]) for row in rows)]
    return (with_suffix or usual or [0])[0]


def _split_column(name: str, header: tuple[str, ...], rows: Sequence[Row]) -> int | None:
    """Return the column that says which split an image is of, None if there is none.

    Raises DataError if only some of its values are splits.
    """
    for number, cell in enumerate(header):
        values = {row.cells[number]: row.line for row in rows} if plain(cell) in SPLIT_COLUMNS else {}
        unknown = [value for value in values if value and not split_of(value)]
        if values and not unknown and any(values):
            return number
        if any(map(split_of, values)):
            raise DataError(
                f"{name}, line {values[unknown[0]]}: the {cell} is {unknown[0]!r}; expected train, val, test or nothing"
            )
    return None


def _label_column(
    name: str, header: tuple[str, ...], rows: Sequence[Row], file: int, split: int | None
) -> tuple[int | None, tuple[int, ...]]:
    """Return the column of the labels, or the columns of 0 and 1 that stand for it."""
    plains = [plain(cell) for cell in header]
    if sum(box in plains for box in BOX_COLUMNS) > 2 or "regionshapeattributes" in plains:
        raise DataError(f"{name} has boxes ({', '.join(header[:8])}); for a detector, use mnasnet prepare-coco")
    rest = [column for column in range(len(header)) if column not in (file, split)]
    rest = [column for column in rest if any(row.cells[column] for row in rows)] if rows else rest
    usual = [plains.index(label) for label in LABEL_COLUMNS if label in plains and plains.index(label) in rest]
    if usual:
        return usual[0], ()
    if len(rest) == 1:
        return rest[0], ()
    flags = [column for column in rest if all(row.cells[column].lower() in TRUE + FALSE for row in rows)]
    if len(flags) > 1 and rows:
        return None, tuple(flags)
    raise DataError(
        f"{name}: which of the columns {', '.join(header[:20])} has the label? Name two columns:"
        " --label-columns FILE,LABEL"
    )


def _label_by_content(name: str, rows: Sequence[Row], file: int, classes: Collection[str]) -> int:
    """Return the column of the labels in a table without a header."""
    rest = [column for column in range(len(rows[0].cells)) if column != file]
    for column in rest:
        if classes and all(row.cells[column] in classes for row in rows):
            return column
    texts = [column for column in rest if not all(_is_number(row.cells[column]) for row in rows)]
    if len(texts) == 1 or len(rest) == 1:
        return (texts or rest)[0]
    raise DataError(
        f"{name} has {len(rows[0].cells)} columns and no header; number two of them from 1: --label-columns FILE,LABEL"
    )


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"[-+]?\d*\.?\d*(e[-+]?\d+)?", cell, re.IGNORECASE) is not None
