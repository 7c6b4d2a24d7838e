"""Lists flat folders of images, whose classes are in a label file or in the images' names."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from data_prep.classification.image_names import labels_from_names
from data_prep.classification.label_matching import (
    FlatImage,
    ImageIndex,
    Matched,
    match_by_name,
    match_by_order,
    report_missing,
    sort_classes,
)
from data_prep.classification.label_search import find_labels, has_usual_tables
from data_prep.classification.label_table import LabelTable, read_label_table
from data_prep.classification.split_images import Batch, Counts, SplitImages, check_class_name
from data_prep.files.archives import FileEntry, list_tar
from data_prep.files.file_list import Place
from data_prep.files.reading import read_bytes
from data_prep.files.tree import FolderTree, Tree, join, walk
from data_prep.options import Options
from mnasnet_cli.errors import DataError
from mnasnet_cli.records.findings import Findings


class NoLabels(DataError):
    """Nothing says which classes the images of a flat folder have."""


class Assigned(NamedTuple):
    """The split and the class of an image, and what says so: a line of a file, or the image's name (line 0)."""

    split: str
    label: str
    source: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.source}, line {self.line}" if self.line else self.source


@dataclass
class FlatFolder:
    """A folder or tar of images without class folders. split: "" if nothing says which split it is.

    images: their names relative to the source, for label files. files: in the same order. deep: whether folders below
    it belong to it.
    """

    split: str
    folder: str
    place: Place
    images: list[FlatImage] = field(default_factory=list)
    files: list[FileEntry] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)

    @classmethod
    def of_tree(cls, tree: Tree, split: str, folder: str, counts: Counts, *, deep: bool) -> FlatFolder:
        """List a folder; `deep`: and all folders below it."""
        flat = cls(split, folder, tree.place(folder))
        for name, (folders, files) in walk(tree, folder):
            if not deep:
                folders.clear()
            place = tree.place(name)
            for file in sorted(counts.images(files)):
                flat.images.append(FlatImage(join(name, file.name), split))
                flat.files.append(file)
                flat.places.append(place)
        return flat

    @classmethod
    def of_tar(cls, split: str, path: Path, counts: Counts) -> FlatFolder:
        """List a tar."""
        flat = cls(split, "", Place(str(path), "tar", str(path)))
        for file in sorted(counts.images(list_tar(path))):
            flat.images.append(FlatImage(file.name, split))
            flat.files.append(file)
            flat.places.append(flat.place)
        return flat


@dataclass
class FlatResult:
    """splits: those with labels. text: where the labels are from, for the layout line. unlabelled: folders left out."""

    splits: list[SplitImages] = field(default_factory=list)
    text: str = ""
    unlabelled: list[FlatFolder] = field(default_factory=list)


def label_flat_folders(
    tree: Tree, flats: Sequence[FlatFolder], above: Sequence[str], options: Options, findings: Findings,
    classes: Sequence[str],
) -> FlatResult:  # fmt: skip
    """Return the images of flat folders, split by split, with the classes that a label file or their names give them.

    Args:
        tree: the source.
        flats: the folders.
        above: folders in which label files may lie, besides the flat ones.
        options: --labels and --label-columns.
        findings: gets what is odd.
        classes: the classes of the training images if these have class folders, else empty.

    Raises DataError if images of the training or validation split have no label.
    """
    images = [image for flat in flats for image in flat.images]
    known = frozenset(classes)
    if options.labels:
        tables = [(*_read_labels(tree, options, flats, images, known), "")]
        problems: list[DataError] = []
        unlabelled: set[int] = set()
    else:
        folders = [*(flat.folder for flat in flats), *above]
        found = find_labels(tree, folders, images, known, options.label_columns)
        tables, problems, unlabelled = found.tables, found.problems, found.unlabelled
    assigned: dict[int, Assigned] = {}
    for table, matched, split in reversed(tables):  # the first counts
        _assign(assigned, table, matched, split, images)
    by_name = [] if options.labels else _labels_from_names(assigned, flats, known)
    for table, matched, _ in tables:
        table.report(findings)
        matched.report(table, findings)
    if any(matched.missing for _, matched, _ in tables):
        report_missing([(table, matched) for table, matched, _ in tables], ImageIndex(images), findings)
    result = FlatResult(text=_describe(tables, by_name))
    start = 0
    for flat in flats:
        numbers = range(start, start + len(flat.images))
        start = numbers.stop
        if not _check_complete(flat, numbers, assigned, unlabelled, tables, problems, findings):
            result.unlabelled.append(flat)
    result.splits = _by_split(flats, assigned)
    return result


def report_contradicting_labels(tree: Tree, folder: str, above: Sequence[str], findings: Findings) -> None:
    """Report images that lie in class folders, if a label file beside these gives images of one folder many classes."""
    if not has_usual_tables(tree, above):
        return
    flat = FlatFolder.of_tree(tree, "", folder, Counts(), deep=True)
    try:
        tables = find_labels(tree, above, flat.images, frozenset()).tables
    except DataError:  # not a table of classes
        return
    start = len(folder) + 1 if folder else 0
    for table, matched, _ in tables:
        pairs = {(flat.images[number].path[start:].split("/")[0], row.label) for number, row in matched.rows.items()}
        if len(pairs) > len({name for name, _ in pairs}):
            findings.suspect(
                "labels-beside-class-folders",
                f"images have labels in {table.name}, which differ within a class folder; the folder counts",
                count=len(matched.rows), advice="if the file is right, name it: --labels FILE",
            )  # fmt: skip


def _read_labels(
    tree: Tree, options: Options, flats: Sequence[FlatFolder], images: Sequence[FlatImage], known: Collection[str]
) -> tuple[LabelTable, Matched]:
    """Read the file of --labels. A file by order is of the validation images, if there are several splits."""
    path = options.labels
    assert path is not None
    beside = tree.find(str(path)) if not path.exists() else None  # also the name of a file in the source
    source = tree if beside else FolderTree(path.parent)
    data = read_bytes(source, str(path) if beside else path.name)
    index = ImageIndex(images)
    table = read_label_table(str(path), data, index.__contains__, asked=options.label_columns, classes=known)
    if not table.by_order:
        return table, match_by_name(table, index)
    splits = [flat.split for flat in flats]
    split = "validation" if "validation" in splits else splits[0]
    numbers = [number for number, image in enumerate(images) if image.split == split]
    matched = match_by_order(table, [images[number] for number in numbers], split or "flat")
    return table, Matched({numbers[number]: row for number, row in matched.rows.items()})


def _assign(
    assigned: dict[int, Assigned], table: LabelTable, matched: Matched, split: str,
    images: Sequence[FlatImage],
) -> None:  # fmt: skip
    for number, row in matched.rows.items():
        if row.label:
            where = images[number].split or row.split or split or "train"
            assigned[number] = Assigned(where, row.label, table.name, row.line)


def _labels_from_names(
    assigned: dict[int, Assigned], flats: Sequence[FlatFolder], known: frozenset[str]
) -> list[FlatFolder]:
    """Give the images of folders without any label the classes in their names. Return these folders."""
    labelled = []
    start = 0
    for flat in sorted(flats, key=lambda flat: flat.split != "train"):
        start = sum(len(other.images) for other in flats[: flats.index(flat)])
        numbers = range(start, start + len(flat.images))
        if not flat.images or any(number in assigned for number in numbers):
            continue
        labels = labels_from_names([image.path for image in flat.images], known)
        if labels is None:
            continue
        labelled.append(flat)
        known = known or frozenset(labels)
        for number, label in zip(numbers, labels, strict=True):
            assigned[number] = Assigned(flat.split or "train", label, flat.images[number - start].path)
    return labelled


def _check_complete(
    flat: FlatFolder, numbers: range, assigned: Mapping[int, object], unlabelled: set[int],
    tables: Sequence[tuple[LabelTable, Matched, str]], problems: Sequence[DataError], findings: Findings,
) -> bool:  # fmt: skip
    """Tell whether a folder has labels. Report the images that have none; raise DataError if most have none."""
    without = [number for number in numbers if number not in assigned and number not in unlabelled]
    total = len(numbers) - len(unlabelled.intersection(numbers))
    example = flat.images[without[0] - numbers.start].path if without else ""
    names = " and ".join(table.name for table, _, _ in tables)
    if len(without) == total and flat.split == "test":
        return False
    if not flat.images:
        raise NoLabels(
            f"no images in {flat.place.path}: no class folders with images, and no images for --labels FILE; add some,"
            " or remove the folder"
        )
    if len(without) == total and problems:
        raise problems[0]
    if len(without) == total and not tables:
        what = "no class folders" if flat.split else f"{total:,} images, but no class folders and no file with labels"
        raise NoLabels(f"{flat.place.path} has {what}; name the file with the labels: --labels FILE")
    if 2 * len(without) > total:
        raise DataError(
            f"{len(without):,} of {total:,} images in {flat.place.path} have no label in {names}, for example"
            f" {example}; is it the right file? --labels FILE"
        )
    if unlabelled.intersection(numbers):
        findings.note(
            "unlabelled-test-image", "images are listed as test images without labels and were left out",
            count=len(unlabelled.intersection(numbers)),
        )  # fmt: skip
    if without:
        findings.suspect(
            "unlabelled-image", f"of {total:,} images have no label in {names} and were left out", split=flat.split,
            count=len(without), example=example,
        )  # fmt: skip
    return True


def _by_split(flats: Sequence[FlatFolder], assigned: Mapping[int, Assigned]) -> list[SplitImages]:
    """Return the labelled images of each split."""
    numbers: dict[str, list[int]] = {}
    for number in sorted(assigned):
        numbers.setdefault(assigned[number].split, []).append(number)
    return [_split_images(split, flats, chosen, assigned) for split, chosen in numbers.items()]


def _split_images(
    split: str, flats: Sequence[FlatFolder], numbers: Sequence[int], assigned: Mapping[int, Assigned]
) -> SplitImages:
    files = [file for flat in flats for file in flat.files]
    places = [place for flat in flats for place in flat.places]

    def images() -> Iterator[Batch]:
        for number in numbers:
            yield Batch(assigned[number].label, places[number], [files[number]])

    def where(label: str) -> str:
        return next(str(assigned[number]) for number in numbers if assigned[number].label == label)

    place = next((flat.place for flat in flats if flat.split == split), flats[0].place)
    classes = sort_classes(assigned[number].label for number in numbers)
    for name in classes:
        check_class_name(name, place.path)
    return SplitImages(split, place, classes, images, where)


def _describe(tables: Sequence[tuple[LabelTable, Matched, str]], by_name: Sequence[FlatFolder]) -> str:
    """Return where the labels are from."""
    texts = []
    for table, _, _ in tables:
        columns = f" (columns {table.columns})" if table.columns else ""
        texts.append(f"{Path(table.name).name}{columns}")
    if by_name:
        texts.append("their file names")
    return " and ".join(dict.fromkeys(texts))
