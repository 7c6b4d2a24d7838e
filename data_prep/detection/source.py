"""COCO-style sources: images and annotations, in folders or zips."""

from __future__ import annotations

import hashlib
import io
from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, Self

import numpy as np

from data_prep.detection.annotations import AnnotationFile, Boxes, Fault, check_boxes, json_entries, read_annotations
from data_prep.files.archives import FileEntry, list_zip, open_zip_member
from data_prep.files.file_list import NO_FILE, NOT_REGULAR, FileList, list_folder, take
from data_prep.images.jpeg import BadImage, PreparedImage
from data_prep.options import CocoOptions
from data_prep.validation_share import with_validation
from data_prep.writing.shard_job import Record
from mnasnet_cli.errors import DataError, os_error_reason
from mnasnet_cli.records.coco_example import encode_coco_example
from mnasnet_cli.records.findings import Findings
from mnasnet_cli.records.keys import AREA_LIMITS

FOLDERS = {
    "train": ("train2017", "train2014", "train"),
    "validation": ("val2017", "val2014", "val", "validation", "valid"),
}
FLAG_PREFIXES = {"train": "train", "validation": "val"}  # of --train-images, --val-annotations, …


class CocoTable(FileList):
    """The images of one split with their boxes, sorted by image id. names: of the classes; class i is at i - 1."""

    def __init__(self, base: Path, names: list[str]) -> None:
        super().__init__(base, "" if base.is_dir() else "zip")
        self.names = names
        self.image_ids, self.heights, self.widths = array("q"), array("i"), array("i")
        self.boxes: Boxes

    def select(self, rows: np.ndarray) -> Self:
        """See `FileList`."""
        chosen = super().select(rows)
        chosen.image_ids, chosen.heights, chosen.widths = (
            take(column, rows) for column in (self.image_ids, self.heights, self.widths)
        )
        chosen.boxes = self.boxes.select(rows)
        return chosen

    def record(self, index: int, image: PreparedImage) -> Record:
        """Return an image's record. Raises BadImage if the annotation file has another image size."""
        expected = self.widths[index], self.heights[index]
        if (image.width, image.height) != expected:
            rotated = (image.height, image.width) == expected
            raise BadImage(
                f"the image has {image.width}×{image.height} px, but the annotation file says"
                f" {expected[0]}×{expected[1]} px, so the boxes do not fit"
                f"{'; perhaps it was rotated according to its EXIF data' if rotated else ''}"
            )
        boxes, rows = self.boxes, slice(*self.boxes.starts[index : index + 2].tolist())
        labels, crowds, areas = (column[rows].tolist() for column in (boxes.labels, boxes.crowds, boxes.areas))
        example = encode_coco_example(
            image.data, image_id=self.image_ids[index], filename=self.name(index), height=image.height,
            width=image.width, boxes_yxyx=boxes.yxyx[rows].tolist(), classes=labels,
            texts=[self.names[label - 1] for label in labels], is_crowd=crowds, area=areas,
        )  # fmt: skip
        below_32, below_96 = (sum(area < limit for area in areas) for limit in AREA_LIMITS)
        counts = {"boxes": len(labels), "crowds": sum(crowds), "clipped": int(boxes.clipped[rows].sum())}
        sizes = {"small": below_32, "medium": below_96 - below_32, "large": len(areas) - below_96}
        return Record(example, labels, counts | sizes)

    def digest(self) -> str:
        """Return a SHA-256 of all names, ids and image sizes."""
        columns = (self.image_ids, self.heights, self.widths)
        return hashlib.sha256(self.name_bytes() + b"".join(column.tobytes() for column in columns)).hexdigest()


@dataclass(frozen=True)
class CocoSource:
    """The categories and images of a source.

    categories: id → name, sorted by id; class i is the i-th. faults: split → entries of the annotation file that are
    left out. ignored: number of files that no annotation file names. layout: what the folder was taken for,
    in one line.
    """

    root: Path
    tables: dict[str, CocoTable]
    categories: dict[int, str]
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    ignored: int = 0
    layout: str = ""
    findings: Findings = field(default_factory=Findings)
    kind = "coco"

    @property
    def class_keys(self) -> list[str]:
        """The category ids: the first column of labels.txt."""
        return [str(category_id) for category_id in self.categories]

    @property
    def texts(self) -> list[str]:
        """The category names."""
        return list(self.categories.values())

    def plan(self) -> dict[str, Any]:
        """Return what the records depend on besides the options."""
        listed = "\n".join(f"{category_id} {name}" for category_id, name in self.categories.items())
        plan: dict[str, Any] = {"kind": self.kind, "categories": hashlib.sha256(listed.encode()).hexdigest()}
        for split, table in self.tables.items():
            plan[f"list_of_{split}_images"] = table.digest()
            plan[f"{split}_annotations"] = table.boxes.digest()
        return plan

    def details(self) -> dict[str, Any]:
        """Return what dataset.json holds for this kind of source only."""
        categories = enumerate(self.categories.items(), 1)
        return {
            "categories": [{"label": label, "id": key, "name": name} for label, (key, name) in categories],
            "images_in_both_splits": self._images_in_both_splits(),
            "bad_annotations": [{"split": split, **fault} for split, faults in self.faults.items() for fault in faults],
        }

    def _images_in_both_splits(self) -> int:
        """Count the images with the same id and file name in two splits. Scores on these are too high."""
        images = [set(zip(table.image_ids, map(table.name, range(len(table))), strict=True))
                  for table in self.tables.values()]  # fmt: skip
        return sum(map(len, images)) - len(set().union(*images))


def find_source(root: Path, options: CocoOptions) -> CocoSource:
    """List a source. Raises DataError if something is missing or invalid, unless `options` say to skip it."""
    try:
        return _find_source(Path(root), options)
    except OSError as error:
        raise DataError(f"cannot read {error.filename}: {os_error_reason(error)}") from error


def _find_source(root: Path, options: CocoOptions) -> CocoSource:
    if not root.is_dir():
        raise DataError(f"{root} is not a folder" if root.exists() else f"no folder {root}")
    found = {split: _find_images(root, split, options) for split in FOLDERS}
    places = {split: place for split, place in found.items() if place is not None}
    if not places:
        raise DataError(
            f"no images in {root}: expected train2017/ and val2017/, or train2017.zip and val2017.zip;"
            " use --train-images and --val-images for other names"
        )
    names, files = {}, {}
    for split, place in places.items():
        names[split], open_file = _find_annotations(root, split, place, options)
        files[split] = read_annotations(json_entries(open_file), names[split])
    categories = _merge_categories(files, names)
    labels = {category_id: label for label, category_id in enumerate(categories, 1)}
    tables, faults = {}, {}
    unnamed: dict[Path, set[str]] = {}  # folder or zip → files that no split names
    for split, file in files.items():
        place = places[split]
        order = np.argsort(np.asarray(file.image_ids, np.int64), kind="stable")
        tables[split], others = _make_table(place, file, order, list(categories.values()))
        tables[split].boxes, faults[split] = check_boxes(file, order, labels)
        unnamed[place] = unnamed.get(place, others) & others  # two splits may share a folder
        _check_faults(names[split], len(tables[split].boxes.labels), faults[split], options)
    findings = Findings()
    tables = with_validation(tables, options, findings)
    return CocoSource(root, tables, categories, faults, sum(map(len, unnamed.values())), findings=findings)


def _find_images(root: Path, split: str, options: CocoOptions) -> Path | None:
    """Return the folder or zip with the images of a split, None if there is none."""
    flag = FLAG_PREFIXES[split]
    requested: Path | None = getattr(options, f"{flag}_images")
    if requested is not None:
        for path in (requested, root / requested):
            if path.exists():
                return path
        raise DataError(f"no folder or zip {requested} (--{flag}-images), neither here nor in {root}")
    for name in FOLDERS[split]:
        for path in (root / name, root / f"{name}.zip"):
            if path.exists():
                return path
    if getattr(options, f"{flag}_annotations") is not None:
        raise DataError(f"no images for --{flag}-annotations in {root}; name them with --{flag}-images")
    return None


def _find_annotations(
    root: Path, split: str, images: Path, options: CocoOptions
) -> tuple[str, Callable[[], IO[bytes]]]:
    """Return the name of a split's annotation file, for messages, and a function that opens the file."""
    flag = FLAG_PREFIXES[split]
    requested: Path | None = getattr(options, f"{flag}_annotations")
    name = requested or Path(f"instances_{images.stem}.json")
    first = requested or images / "_annotations.coco.json"  # the layout of some labelling services
    for path in (first, root / "annotations" / name, root / name):
        if path.is_file():
            return str(path), partial(io.FileIO, path)
    for archive in sorted(root.glob("annotations*.zip")):
        for member in list_zip(archive):
            if PurePosixPath(member.name).name == name.name:
                return f"{archive}/{member.name}", partial(open_zip_member, archive, member.name)
    raise DataError(
        f"no {name} in {root}, {root}/annotations or a zip annotations*.zip;"
        f" name the annotation file of {images.name} with --{flag}-annotations"
    )


def _merge_categories(files: dict[str, AnnotationFile], names: dict[str, str]) -> dict[int, str]:
    """Return the categories of all files, sorted by id. Raises DataError if two files contradict each other."""
    merged: dict[int, str] = {}
    for split, file in files.items():
        for category_id, name in file.categories.items():
            if merged.setdefault(category_id, name) != name:
                raise DataError(
                    f"category {category_id} is '{name}' in {names[split]}, but '{merged[category_id]}' in"
                    f" {names['train']}"
                )
    return dict(sorted(merged.items()))


def _make_table(
    place: Path, file: AnnotationFile, order: np.ndarray, class_names: list[str]
) -> tuple[CocoTable, set[str]]:
    """Return the images that an annotation file names, and the names of all other files in `place`."""
    table = CocoTable(place, class_names)
    is_zip = table.archive == "zip"
    found = _images_in_zip(place) if is_zip else {entry.name: entry for entry in list_folder(place)}
    for number in order.tolist():
        name, image_id = file.image_names[number], file.image_ids[number]
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise DataError(f"the file name '{name}' of image {image_id} leads out of {place}")
        entry = found.get(name)
        if entry is None:
            entry = FileEntry(name, NO_FILE) if is_zip else _look_up(place, name)
        table.append(entry)
        table.image_ids.append(image_id)
        table.heights.append(file.heights[number])
        table.widths.append(file.widths[number])
    return table, set(found) - set(file.image_names)


def _images_in_zip(path: Path) -> dict[str, FileEntry]:
    """Return the files of a zip by their names in annotation files: without the one folder that holds them all."""
    files = [file for file in list_zip(path) if not PurePosixPath(file.name).name.startswith(".")]
    folders = {file.name.partition("/")[0] if "/" in file.name else "" for file in files}
    prefix = f"{folders.pop()}/" if len(folders) == 1 and folders != {""} else ""
    return {name: file._replace(name=name) for file in files for name in [file.name.removeprefix(prefix)]}


def _look_up(folder: Path, name: str) -> FileEntry:
    """Return a file whose name may include subfolders."""
    path = folder / name
    size = NO_FILE if not path.exists() else path.stat().st_size if path.is_file() else NOT_REGULAR
    return FileEntry(name, size)


def _check_faults(name: str, usable_boxes: int, faults: list[Fault], options: CocoOptions) -> None:
    """Raise DataError if there are faults that may not be skipped, or if no box is left."""
    if not faults:
        return
    reasons = Counter(fault["reason"] for fault in faults)
    listed = ", ".join(f"{count:,}: {reason}" for reason, count in reasons.most_common())
    if options.on_bad_annotation == "fail":
        entries = "invalid entry" if len(faults) == 1 else "invalid entries"
        raise DataError(
            f"{name} has {len(faults):,} {entries} ({listed}); the first is {faults[0]};"
            " fix the file, or skip such entries with --on-bad-annotation skip"
        )
    if not usable_boxes and any("annotation" in fault for fault in faults):
        raise DataError(f"{name}: none of its annotations can be used ({listed})")
