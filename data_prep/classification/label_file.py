"""Reads the text files beside ImageNet: labels of the validation images, and names of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mnasnet_cli.errors import DataError, nearest, os_error_reason

CLASS_NAME_FILES = ("synset_words.txt", "LOC_synset_mapping.txt")  # ILSVRC's and Kaggle's
Row = tuple[int, list[str]]  # line number, words


def read_class_names(root: Path) -> dict[str, str]:
    """Return synset → name from the first of CLASS_NAME_FILES that exists, {} if there is none."""
    for name in CLASS_NAME_FILES:
        path = root / name
        if path.exists():
            rows = (line.split(None, 1) for line in path.read_text("utf-8", "replace").splitlines())
            return {row[0]: row[1].strip().replace("\t", " ") for row in rows if len(row) == 2}
    return {}


def read_val_labels(path: Path, names: Sequence[str], synsets: Sequence[str]) -> list[str]:
    """Return the synset of each of the sorted file names.

    The file has one synset per line, in the order of the names, or `filename synset` per line, in any order. Blanks or
    commas separate the two, and the extension is optional. Kaggle's LOC_val_solution.csv has the second format.

    Args:
        path: the file.
        names: the sorted names of the validation images.
        synsets: the known classes; if empty, all synsets are accepted.

    Raises DataError, which names the invalid line or the two different counts.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise DataError(f"cannot read --labels {path}: {os_error_reason(error)}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"--labels {path} is not a text file") from error
    rows = [(number, line.replace(",", " ").split()) for number, line in enumerate(lines, 1) if line.strip()]
    if rows and rows[0][1][0] == "ImageId":  # the header of Kaggle's file
        del rows[0]
    if not rows:
        raise DataError(f"--labels {path} is empty")
    has_names = len(rows[0][1]) > 1
    known = set(synsets)
    for number, row in rows:
        if (len(row) > 1) != has_names:
            raise DataError(f"{path}, line {number}: some lines have a file name and some have none")
        synset = row[1] if has_names else row[0]
        if known and synset not in known:
            raise DataError(
                f"{path}, line {number}: '{synset}' is not one of the {len(known)} classes of train"
                f"{nearest(synset, synsets)}"
            )
    return _labels_by_name(path, rows, names) if has_names else _labels_by_order(path, rows, names)


def _labels_by_order(path: Path, rows: list[Row], names: Sequence[str]) -> list[str]:
    if len(rows) != len(names):
        raise DataError(f"{path} has {len(rows):,} labels for {len(names):,} validation images")
    return [row[0] for _, row in rows]


def _labels_by_name(path: Path, rows: list[Row], names: Sequence[str]) -> list[str]:
    table = {row[0]: row[1] for _, row in rows}
    labels = []
    for name in names:
        synset = table.get(name) or table.get(name.rsplit(".", 1)[0])
        if synset is None:
            raise DataError(f"{path} has no label for {name}")
        labels.append(synset)
    return labels
