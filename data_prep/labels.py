"""Read the small text files beside ImageNet: labels of the validation images, and the classes in words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mnasnet_cli.errors import DataError, nearest

TEXT_FILES = ("synset_words.txt", "LOC_synset_mapping.txt")


def read_class_texts(root: Path) -> dict[str, str]:
    """Return synset → text from `synset_words.txt` or Kaggle's `LOC_synset_mapping.txt`; {} where neither is there."""
    for name in TEXT_FILES:
        path = root / name
        if path.exists():
            rows = (line.split(None, 1) for line in path.read_text("utf-8", "replace").splitlines())
            return {row[0]: row[1].strip().replace("\t", " ") for row in rows if len(row) == 2}
    return {}


def read_val_labels(path: Path, names: Sequence[str], synsets: Sequence[str]) -> list[str]:
    """Return the synset of each of the sorted `names`.

    The file has a synset a line, in the order of the sorted names, or `filename synset` a line (blanks or commas
    between them, with or without the extension; Kaggle's LOC_val_solution.csv is such a file).
    `synsets` are the known classes; where there are none, any are taken.
    Raises DataError naming the line that is at fault, or the counts that differ.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise DataError(f"cannot read --labels {path}: {(error.strerror or '').lower()}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"--labels {path} is not a text file") from error
    rows = [(number, line.replace(",", " ").split()) for number, line in enumerate(lines, 1) if line.strip()]
    if rows and rows[0][1][0] == "ImageId":
        del rows[0]
    if not rows:
        raise DataError(f"--labels {path} is empty")
    named = len(rows[0][1]) > 1
    known = set(synsets)
    for number, row in rows:
        if (len(row) > 1) != named:
            raise DataError(f"{path}, line {number}: some lines name a file and some don't")
        synset = row[1] if named else row[0]
        if known and synset not in known:
            raise DataError(
                f"{path}, line {number}: '{synset}' is none of the {len(known)} classes of train"
                f"{nearest(synset, synsets)}"
            )
    return _by_name(path, rows, names) if named else _by_order(path, rows, names)


def _by_order(path: Path, rows: list[tuple[int, list[str]]], names: Sequence[str]) -> list[str]:
    if len(rows) != len(names):
        raise DataError(f"{path} has {len(rows):,} labels for {len(names):,} validation images")
    return [row[0] for _, row in rows]


def _by_name(path: Path, rows: list[tuple[int, list[str]]], names: Sequence[str]) -> list[str]:
    table = {row[0]: row[1] for _, row in rows}
    labels = []
    for name in names:
        synset = table.get(name) or table.get(name.rsplit(".", 1)[0])
        if synset is None:
            raise DataError(f"{path} has no label for {name}")
        labels.append(synset)
    return labels
