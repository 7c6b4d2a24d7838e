"""ImageNet-style sources: class folders, or the ILSVRC2012 tars."""

from __future__ import annotations

import hashlib
import os
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_prep.classification.label_file import read_class_names, read_val_labels
from data_prep.files.archives import FileEntry, list_nested_tars, list_tar
from data_prep.files.file_list import FileList, list_folder
from data_prep.images.jpeg import PreparedImage
from data_prep.options import Options
from data_prep.validation_share import with_validation
from data_prep.writing.shard_job import Record
from mnasnet_cli.errors import DataError, os_error_reason
from mnasnet_cli.records.findings import Findings
from mnasnet_cli.records.image_files.kinds import IMAGE_SUFFIXES
from mnasnet_cli.records.imagenet_example import encode_imagenet_example

TARS = {"train": "ILSVRC2012_img_train.tar", "validation": "ILSVRC2012_img_val.tar"}
FOLDERS = {"train": ("train",), "validation": ("val", "validation")}
LABEL_FILES = ("LOC_val_solution.csv", "imagenet_2012_validation_synset_labels.txt")  # beside val


class ImagenetTable(FileList):
    """The images of one split, sorted by class and name.

    labels: 1..N. synsets, texts: class i is at i - 1; all tables of a source share these lists.
    flat: whether the images are in `base` itself, not in class folders.
    """

    def __init__(self, base: Path, *, flat: bool, synsets: list[str], texts: list[str]) -> None:
        super().__init__(base, "tar" if base.is_file() else "")
        self.flat, self.synsets, self.texts = flat, synsets, texts
        self.labels: array[int] = array("H")

    def add(self, file: FileEntry, label: int) -> None:
        """Append one image."""
        self.append(file)
        self.labels.append(label)

    def path(self, index: int) -> str:
        """Return a file's path, for opening it and for messages. In a tar it is for messages only."""
        folder = "" if self.flat else self.synsets[self.labels[index] - 1]
        return os.path.join(self.base, folder, self.name(index))

    def record(self, index: int, image: PreparedImage) -> Record:
        """Return an image's record."""
        label = self.labels[index]
        example = encode_imagenet_example(
            image.data, label=label, synset=self.synsets[label - 1], text=self.texts[label - 1],
            filename=self.name(index), height=image.height, width=image.width, channels=image.channels,
        )  # fmt: skip
        return Record(example, (label,))

    def digest(self) -> str:
        """Return a SHA-256 of all names and labels."""
        return hashlib.sha256(self.name_bytes() + self.labels.tobytes()).hexdigest()


@dataclass(frozen=True)
class ImagenetSource:
    """The classes and images of a source.

    synsets, texts: class i is at i - 1. ignored: number of files whose names are not those of images.
    layout: what the folder was taken for, in one line.
    """

    root: Path
    synsets: list[str]
    texts: list[str]
    tables: dict[str, ImagenetTable]
    ignored: int
    layout: str = ""
    findings: Findings = field(default_factory=Findings)
    kind = "imagenet"

    @property
    def class_keys(self) -> list[str]:
        """The synsets: the first column of labels.txt."""
        return self.synsets

    def plan(self) -> dict[str, Any]:
        """Return what the records depend on besides the options."""
        return {f"list_of_{split}_images": table.digest() for split, table in self.tables.items()}

    def details(self) -> dict[str, Any]:
        """Return what dataset.json holds for this kind of source only."""
        return {}


def find_source(root: Path, options: Options) -> ImagenetSource:
    """List a source. Raises DataError if something is missing, empty or contradictory."""
    try:
        return _find_source(Path(root), options)
    except OSError as error:
        raise DataError(f"cannot read {error.filename}: {os_error_reason(error)}") from error


def _find_source(root: Path, options: Options) -> ImagenetSource:
    labels = options.labels
    if not root.is_dir():
        raise DataError(f"{root} is not a folder" if root.exists() else f"no folder {root}")
    places = {split: _find_split(root, split) for split in FOLDERS}
    if not any(places.values()):
        if not _subfolders(root):
            raise DataError(
                f"no images in {root}: expected train/<synset>/*.JPEG and val/<synset>/*.JPEG, or {TARS['train']}"
            )
        places["train"] = root  # class folders without a train folder
    lister = _Lister()
    if train := places["train"]:
        lister.list_classes("train", train)
    if val := places["validation"]:
        _list_val(lister, root, val, labels)
    elif labels:
        raise DataError(f"--labels is for a flat val folder, but {root} has no val folder")
    names = read_class_names(root)
    lister.texts += [names.get(synset, synset) for synset in lister.synsets]
    findings = Findings()
    tables = with_validation(lister.tables, options, findings)
    return ImagenetSource(root, lister.synsets, lister.texts, tables, lister.ignored, findings=findings)


def _find_split(root: Path, split: str) -> Path | None:
    """Return the folder or tar of a split."""
    for path in (*(root / name for name in FOLDERS[split]), root / TARS[split]):
        if path.exists():
            return path
    return None


def _subfolders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.name[0] != "." and _is_class_folder(entry))


def _is_class_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir() and not entry.name.lower().endswith(IMAGE_SUFFIXES)


def _list_val(lister: _Lister, root: Path, val: Path, labels: Path | None) -> None:
    """List the validation images: in class folders, or flat with a label file."""
    flat = val.is_file() or not _subfolders(val)
    if not flat:
        if labels:
            raise DataError(f"--labels is for a flat val folder, but {val} contains class folders")
        lister.list_classes("validation", val)
        return
    if labels is None:
        found = [root / name for name in LABEL_FILES if (root / name).exists()]
        if not found:
            raise DataError(f"{val} has no class folders; name the file with the labels: --labels FILE")
        labels = found[0]
    lister.list_flat("validation", val, labels)


class _Lister:
    """Lists the splits of a source. The first split that is listed, train if there is one, determines the classes."""

    def __init__(self) -> None:
        self.synsets: list[str] = []
        self.texts: list[str] = []
        self.tables: dict[str, ImagenetTable] = {}
        self.ignored = 0

    def list_classes(self, split: str, place: Path) -> None:
        """List a folder of class folders, or a tar of class tars."""
        table = ImagenetTable(place, flat=False, synsets=self.synsets, texts=self.texts)
        if place.is_file():
            groups = list_nested_tars(place)
        else:
            groups = ((name, list_folder(place / name)) for name in _subfolders(place))
        is_first = not self.synsets
        numbers = {synset: number for number, synset in enumerate(self.synsets, 1)}
        for name, files in groups:
            _check_class_name(name, place)
            if is_first:
                self.synsets.append(name)
                numbers[name] = len(self.synsets)
            elif name not in numbers:
                raise DataError(f"class {name} is in {place}, but not among the {len(numbers)} classes of train")
            images = self._images(files)
            if not images:
                raise DataError(f"class {name} has no images in {place / name}; add some, or remove the folder")
            for file in images:
                table.add(file, numbers[name])
        if not len(table):
            raise DataError(f"no class folders in {place}: expected {place.name}/<synset>/*.JPEG")
        self.tables[split] = table

    def list_flat(self, split: str, place: Path, labels: Path) -> None:
        """List a folder or tar of images, whose classes are in the file `labels`."""
        images = self._images(list_tar(place) if place.is_file() else list_folder(place))
        if not images:
            raise DataError(f"no images in {place}")
        synsets = read_val_labels(labels, [image.name for image in images], self.synsets)
        if not self.synsets:
            self.synsets += sorted(set(synsets))
        numbers = {synset: number for number, synset in enumerate(self.synsets, 1)}
        table = ImagenetTable(place, flat=True, synsets=self.synsets, texts=self.texts)
        for image, synset in zip(images, synsets, strict=True):
            table.add(image, numbers[synset])
        self.tables[split] = table

    def _images(self, files: list[FileEntry]) -> list[FileEntry]:
        """Return the images among files, sorted by name, and count the others as ignored."""
        images = sorted(file for file in files if file.name.lower().endswith(IMAGE_SUFFIXES))
        self.ignored += len(files) - len(images)
        return images


def _check_class_name(name: str, place: Path) -> None:
    """Raise DataError if labels.txt or a record cannot hold a class name."""
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(name).decode("utf-8", "backslashreplace")
        raise DataError(f"the name of class {shown} in {place} is not UTF-8; rename it") from None
    if len(name.splitlines()) > 1 or "\t" in name:
        raise DataError(f"the name of class {name!r} in {place} contains a tab or a line break; rename it")
