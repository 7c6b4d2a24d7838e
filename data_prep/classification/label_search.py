"""Finds the label files that lie in a source beside flat folders of images."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from data_prep.classification.label_columns import LABEL_COLUMNS, plain
from data_prep.classification.label_matching import FlatImage, ImageIndex, Matched, match_by_name, match_by_order
from data_prep.classification.label_table import LabelRow, LabelTable, read_label_table
from data_prep.classification.split_folders import EXTRAS
from data_prep.files.reading import opened, read_bytes
from data_prep.files.tree import Tree, join
from data_prep.split_names import split_of
from mnasnet_cli.errors import DataError

USUAL = (
    "loc_val_solution.csv", "imagenet_2012_validation_synset_labels.txt", "val_annotations.txt", "metadata.csv",
    "metadata.jsonl", "_classes.csv", "labels.csv", "labels.tsv", "annotations.csv", "labels.json",
)  # fmt: skip
METADATA = ("metadata.csv", "metadata.jsonl")
BY_ORDER = ("imagenet_2012_validation_synset_labels.txt",)
TABLES = (".csv", ".tsv", ".jsonl", ".ndjson")
_TEXT_LISTS = re.compile(r"(?:.*[_-])?(?:labels?|annotations?|list|train|training|val|valid|validation|test)\.txt")
_NO_LABELS = re.compile(r"submission|predictions?")  # Kaggle's examples of what to hand in


def has_metadata(tree: Tree, folder: str) -> bool:
    """Tell whether a folder holds a metadata.csv or metadata.jsonl with a column of labels, as Hugging Face has it.

    Then the folders below it are not classes.
    """
    for name in tree.names(folder)[1]:
        if name in METADATA:
            with opened(tree, join(folder, name)) as file:
                first = file.readline(1 << 16).decode("utf-8", "replace")
            return any(plain(cell) in LABEL_COLUMNS for cell in re.split(r'[,;\t"]', first))
    return False


@dataclass
class FoundLabels:
    """The rows that the label files of a source have for its images.

    tables: those that are used, each with what it matched. problems: why others are not. unlabelled: numbers of images
    that a list of test images names without a class.
    """

    tables: list[tuple[LabelTable, Matched, str]] = field(default_factory=list)
    problems: list[DataError] = field(default_factory=list)
    unlabelled: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class _Candidate:
    """A label file: its name, its folder, the split that its name or folder says, and whether its name is usual."""

    path: str
    folder: str
    split: str
    is_usual: bool


def find_labels(
    tree: Tree, folders: Sequence[str], images: Sequence[FlatImage], classes: Collection[str],
    asked: tuple[str, str] | None = None,
) -> FoundLabels:  # fmt: skip
    """Return the labels of images from the label files that lie in `folders`.

    A file with a usual name counts first, such as labels.csv, metadata.csv and train.csv. Where these leave images
    without a class, one other table may name them: it must have usual columns, or those that are `asked` for, and most
    of its rows must name images.

    Raises DataError if two other tables do, or if one gives an image two labels.
    """
    found = FoundLabels()
    labelled: set[int] = set()
    others: list[tuple[LabelTable, Matched, str]] = []
    for candidate in sorted(_candidates(tree, folders), key=_rank):
        if len(labelled) == len(images):
            break
        scope = [number for number, image in enumerate(images) if _is_in_scope(image, candidate)]
        if not any(number not in labelled for number in scope):
            continue
        read = _read(tree, candidate, images, scope, classes, asked, found)
        if read is None:
            continue
        table, matched = read
        if not any(number not in labelled for number in matched.rows):
            continue
        if candidate.is_usual:
            found.tables.append((table, matched, candidate.split))
            labelled |= matched.rows.keys()
        else:
            others.append((table, matched, candidate.split))
    others = [other for other in others if not other[1].rows.keys() <= labelled]
    if len(others) > 1 and {*others[0][1].rows} & {*others[1][1].rows}:
        raise DataError(f"{others[0][0].name} and {others[1][0].name} both name the images; choose one: --labels FILE")
    found.tables += others
    found.unlabelled -= labelled
    return found


def has_usual_tables(tree: Tree, folders: Sequence[str]) -> bool:
    """Tell whether a file with a usual name for labels lies in one of the folders."""
    return any(candidate.is_usual for candidate in _candidates(tree, folders))


def _candidates(tree: Tree, folders: Sequence[str]) -> Iterator[_Candidate]:
    for folder in dict.fromkeys(folders):
        for file in tree.names(folder)[1]:
            name = file.lower()
            is_list = bool(_TEXT_LISTS.fullmatch(name)) and not EXTRAS.fullmatch(folder.rpartition("/")[2])
            if _NO_LABELS.search(name) or not (name.endswith(TABLES) or name in USUAL or is_list):
                continue
            split = _split_of_file(file) or next(filter(None, map(split_of, reversed(folder.split("/")))), "")
            yield _Candidate(join(folder, file), folder, split, name in USUAL or bool(split_of(name.partition(".")[0])))


def _split_of_file(name: str) -> str:
    """Return the split in the name of a file: "train" for "train.csv", "trainLabels.csv" and "pets_train_list.txt"."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name.rpartition(".")[0])
    splits = {split for split in map(split_of, words) if split}
    return splits.pop() if len(splits) == 1 else ""


def _rank(candidate: _Candidate) -> tuple[bool, int, int, str]:
    """Return the place of a label file in the order in which they count: the closest to the images first."""
    name = candidate.path.rpartition("/")[2].lower()
    usual = USUAL.index(name) if name in USUAL else len(USUAL)
    return not candidate.is_usual, usual, -len(candidate.folder.split("/")), candidate.path


def _is_in_scope(image: FlatImage, candidate: _Candidate) -> bool:
    if candidate.split and image.split and candidate.split != image.split:
        return False
    has_split = any(map(split_of, candidate.folder.split("/")))
    return not has_split or image.path.startswith(f"{candidate.folder}/")


def _read(
    tree: Tree, candidate: _Candidate, all_images: Sequence[FlatImage], scope: Sequence[int], classes: Collection[str],
    asked: tuple[str, str] | None, found: FoundLabels,
) -> tuple[LabelTable, Matched] | None:  # fmt: skip
    """Return a table and which of the images in `scope` it matches, None if it says nothing about them."""
    images = [all_images[number] for number in scope]
    index = ImageIndex(images)
    name = tree.show(candidate.path)
    try:
        data = read_bytes(tree, candidate.path)
        table = read_label_table(name, data, index.__contains__, asked=asked, classes=classes)
    except DataError as error:
        found.problems.append(error)
        return None
    if table.by_order and candidate.split == "test":
        listed = (index.find(LabelRow(row.line, row.label, "")) for row in table.rows)
        found.unlabelled.update(scope[one[0]] for one in listed if one)
        return None
    if table.by_order and candidate.path.rpartition("/")[2].lower() not in BY_ORDER:
        return None
    matched = match_by_order(table, images, "validation") if table.by_order else match_by_name(table, index)
    matched.rows = {scope[number]: row for number, row in matched.rows.items()}
    if 2 * len(matched.rows) < min(len(table.rows), len(images)) or not matched.rows:
        return None
    return table, matched
