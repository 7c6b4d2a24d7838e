"""An ImageNet-style source: class folders, or the ILSVRC tars, to record shards."""

from __future__ import annotations

import hashlib
import os
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.archives import tar_classes, tar_images
from data_prep.files import FileList, list_folder
from data_prep.jpeg import ImageFacts
from data_prep.labels import read_class_texts, read_val_labels
from data_prep.options import Options
from data_prep.preparation import Progress, write_records
from data_prep.shard_job import Record
from mnasnet_cli.errors import DataError
from mnasnet_cli.records.imagenet_example import encode_imagenet_example

SUFFIXES = (".jpeg", ".jpg", ".png", ".gif", ".bmp", ".webp")
TARS = {"train": "ILSVRC2012_img_train.tar", "validation": "ILSVRC2012_img_val.tar"}
FOLDERS = {"train": ("train",), "validation": ("val", "validation")}
LABEL_FILES = ("LOC_val_solution.csv", "imagenet_2012_validation_synset_labels.txt")  # looked for beside val


class FileTable(FileList):
    """The images of one split, numbered 0..n-1 by class and name.

    labels: 1..N. synsets, texts: class i at i - 1; all tables of a source share these lists.
    flat: the images lie in `base` itself, not in a folder for each class.
    """

    def __init__(self, base: Path, *, tar: bool, flat: bool, synsets: list[str], texts: list[str]) -> None:
        super().__init__(base, "tar" if tar else "")
        self.flat, self.synsets, self.texts = flat, synsets, texts
        self.labels = array("H")

    def add(self, name: str, label: int, size: int, offset: int = 0) -> None:
        """Append one image."""
        self.append(name, size, offset)
        self.labels.append(label)

    def path(self, index: int) -> str:
        """Return the file's path, or its place in the tar, for opening and for messages."""
        folder = "" if self.flat else self.synsets[self.labels[index] - 1]
        return os.path.join(self.base, folder, self.name(index))

    def record(self, index: int, image: ImageFacts) -> Record:
        """Return the image's record."""
        label = self.labels[index]
        example = encode_imagenet_example(
            image.data, label=label, synset=self.synsets[label - 1], text=self.texts[label - 1],
            filename=self.name(index), height=image.height, width=image.width, channels=image.channels,
        )  # fmt: skip
        return Record(example, (label,))

    def digest(self) -> str:
        """Return a hash of all names and labels."""
        return hashlib.sha256(self.name_bytes() + self.labels.tobytes()).hexdigest()


@dataclass(frozen=True)
class ImagenetSource:
    """What was found. synsets, texts: class i at i - 1. ignored: number of files that are no images by their name."""

    root: Path
    synsets: list[str]
    texts: list[str]
    tables: dict[str, FileTable]
    ignored: int
    kind = "imagenet"

    @property
    def class_keys(self) -> list[str]:
        """What labels.txt and the counts call the classes."""
        return self.synsets

    def plan(self) -> dict[str, Any]:
        """Return what decides the records beside the options."""
        return {f"list_of_{split}_images": table.digest() for split, table in self.tables.items()}

    def details(self) -> dict[str, Any]:
        """Return what dataset.json holds beside what every kind has there."""
        return {}


def find_source(root: Path, labels: Path | None = None) -> ImagenetSource:
    """List a source. Raises DataError where something is missing, empty or contradicts itself."""
    try:
        return _find_source(Path(root), labels)
    except OSError as error:
        raise DataError(f"cannot read {error.filename}: {(error.strerror or '').lower()}") from error


def _find_source(root: Path, labels: Path | None) -> ImagenetSource:
    if not root.is_dir():
        raise DataError(f"{root} is not a folder" if root.exists() else f"no folder {root}")
    places = {split: _place(root, split) for split in FOLDERS}
    if not any(places.values()):
        if not _subfolders(root):
            raise DataError(
                f"no images in {root}: it needs train/<synset>/*.JPEG and val/<synset>/*.JPEG, or {TARS['train']}"
            )
        places["train"] = root  # class folders with nothing above them
    lister = _Lister()
    if train := places["train"]:
        lister.list_classes("train", train)
    if val := places["validation"]:
        _list_val(lister, root, val, labels)
    elif labels:
        raise DataError(f"--labels is for a flat val/, but {root} has no val")
    known = read_class_texts(root)
    lister.texts += [known.get(synset, synset) for synset in lister.synsets]
    return ImagenetSource(root, lister.synsets, lister.texts, lister.tables, lister.ignored)


def _place(root: Path, split: str) -> Path | None:
    """Return the folder or tar that holds a split."""
    for path in (*(root / name for name in FOLDERS[split]), root / TARS[split]):
        if path.exists():
            return path
    return None


def _subfolders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.name[0] != "." and _is_folder(entry))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir() and not entry.name.lower().endswith(SUFFIXES)


def _list_val(lister: _Lister, root: Path, val: Path, labels: Path | None) -> None:
    flat = val.is_file() or not _subfolders(val)
    if not flat:
        if labels:
            raise DataError(f"--labels is for a flat val/, but {val} holds class folders")
        lister.list_classes("validation", val)
        return
    if labels is None:
        beside = [root / name for name in LABEL_FILES if (root / name).exists()]
        if not beside:
            raise DataError(f"{val} has no class folders; name the file with its labels: --labels FILE")
        labels = beside[0]
    lister.list_flat("validation", val, labels)


def _check_class_name(name: str, place: Path) -> None:
    """Refuse a name that neither labels.txt nor a record can hold."""
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(name).decode("utf-8", "backslashreplace")
        raise DataError(f"the name of class {shown} in {place} is not UTF-8; rename it") from None
    if len(name.splitlines()) > 1 or "\t" in name:
        raise DataError(f"the name of class {name!r} in {place} holds a tab or a line break; rename it")


class _Lister:
    """Collects tables and classes while splits are listed, train first: its classes are the classes."""

    def __init__(self) -> None:
        self.synsets: list[str] = []
        self.texts: list[str] = []
        self.tables: dict[str, FileTable] = {}
        self.ignored = 0

    def list_classes(self, split: str, place: Path) -> None:
        """List a folder or tar with one folder or tar a class."""
        tar = place.is_file()
        table = self._table(place, flat=False)
        groups = tar_classes(place) if tar else ((name, _images(place / name)) for name in _subfolders(place))
        first = not self.synsets
        numbers = {synset: number for number, synset in enumerate(self.synsets, 1)}
        for name, files in groups:
            _check_class_name(name, place)
            if first:
                self.synsets.append(name)
                numbers[name] = len(self.synsets)
            elif name not in numbers:
                raise DataError(f"class {name} is in {place}, but not among the {len(numbers)} classes of train")
            images = sorted(file for file in files if file[0].lower().endswith(SUFFIXES))
            self.ignored += len(files) - len(images)
            if not images:
                raise DataError(f"class {name} has no images in {place / name}; add some or remove the folder")
            for file, size, offset in images:
                table.add(file, numbers[name], size, offset)
        if not len(table):
            raise DataError(f"no class folders in {place}; it needs {place.name}/<synset>/*.JPEG")
        self.tables[split] = table

    def list_flat(self, split: str, place: Path, labels: Path) -> None:
        """List a folder or tar of images whose classes are in a file."""
        tar = place.is_file()
        files = tar_images(place) if tar else _images(place)
        images = sorted(file for file in files if file[0].lower().endswith(SUFFIXES))
        self.ignored += len(files) - len(images)
        if not images:
            raise DataError(f"no images in {place}")
        synsets = read_val_labels(labels, [name for name, _, _ in images], self.synsets)
        if not self.synsets:
            self.synsets += sorted(set(synsets))
        numbers = {synset: number for number, synset in enumerate(self.synsets, 1)}
        table = self._table(place, flat=True)
        for (name, size, offset), synset in zip(images, synsets, strict=True):
            table.add(name, numbers[synset], size, offset)
        self.tables[split] = table

    def _table(self, place: Path, *, flat: bool) -> FileTable:
        return FileTable(place, tar=place.is_file(), flat=flat, synsets=self.synsets, texts=self.texts)


def _images(folder: Path) -> list[tuple[str, int, int]]:
    """Return (name, bytes, 0) of all that lies in a folder and isn't hidden."""
    return [(name, size, 0) for name, size in list_folder(folder)]


def prepare_imagenet(
    source: Path, out: Path, options: Options | None = None, *, on_progress: Progress = lambda done, total: None
) -> dict[str, Any]:
    """Write the records of `source` into the folder `out` and return the summary; see `write_records`."""
    options = options or Options()
    return write_records(lambda: find_source(Path(source), options.labels), Path(out), options, on_progress)
