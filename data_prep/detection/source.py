"""COCO-style sources: images and annotations, in folders or zips."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from data_prep.detection.annotations import AnnotationFile, Boxes, Fault, check_boxes, read_annotations
from data_prep.detection.coco_layouts import other_split_folders
from data_prep.detection.layout import AnnotatedImages, Layout
from data_prep.detection.recognition import find_layout
from data_prep.files.archives import FileEntry
from data_prep.files.file_list import NO_FILE, FileList, take
from data_prep.files.file_names import MESSAGES, FileFinder
from data_prep.images.jpeg import BadImage, PreparedImage
from data_prep.options import CocoOptions
from data_prep.validation_share import with_validation
from data_prep.writing.shard_job import Record
from mnasnet_cli.errors import DataError, os_error_reason
from mnasnet_cli.records.coco_example import encode_coco_example
from mnasnet_cli.records.findings import Findings
from mnasnet_cli.records.keys import AREA_LIMITS


class CocoTable(FileList):
    """The images of one split with their boxes, sorted by image id. names: of the classes; class i is at i - 1."""

    def __init__(self, images: AnnotatedImages, names: list[str]) -> None:
        place = images.tree.place(images.folder)
        super().__init__(Path(place.file or place.path), place.archive)
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
    layout = find_layout(root, options)
    findings = Findings()
    files = {}
    for split, images in layout.splits.items():
        files[split] = read_annotations(images.read(), images.name)
    categories = _merge_categories(files, layout)
    labels = {category_id: label for label, category_id in enumerate(categories, 1)}
    tables, faults = {}, {}
    unnamed: dict[str, set[str]] = {}  # folder or zip → files that no split names
    for split, file in files.items():
        images = layout.splits[split]
        order = np.argsort(np.asarray(file.image_ids, np.int64), kind="stable")
        table = tables[split] = CocoTable(images, list(categories.values()))
        others = _fill(table, images, file, order, _skipped_folders(layout, split), split, findings)
        table.boxes, faults[split] = check_boxes(file, order, labels)
        place = images.tree.show(images.folder)
        unnamed[place] = unnamed.get(place, others) & others  # two splits may share a folder
        _check_faults(images.name, len(table.boxes.labels), faults[split], options)
    tables = with_validation(tables, options, findings)
    return CocoSource(root, tables, categories, faults, sum(map(len, unnamed.values())), layout.description, findings)


def _skipped_folders(layout: Layout, split: str) -> set[str]:
    """Return the folders that are not searched for the images of a split: those that are named after another one."""
    images = layout.splits[split]
    return other_split_folders(images.tree, images.folder, split) if len(layout.splits) > 1 else set()


def _merge_categories(files: dict[str, AnnotationFile], layout: Layout) -> dict[int, str]:
    """Return the categories of all files, sorted by id. Raises DataError if two files contradict each other."""
    merged: dict[int, str] = {}
    first = next(iter(files))
    for split, file in files.items():
        for category_id, name in file.categories.items():
            if merged.setdefault(category_id, name) != name:
                raise DataError(
                    f"category {category_id} is '{name}' in {layout.splits[split].name}, but"
                    f" '{merged[category_id]}' in {layout.splits[first].name}"
                )
    return dict(sorted(merged.items()))


def _fill(
    table: CocoTable,
    images: AnnotatedImages,
    file: AnnotationFile,
    order: np.ndarray,
    skipped: set[str],
    split: str,
    findings: Findings,
) -> set[str]:
    """Add the images that an annotation file names to a table. Return the names of all other files in their folder."""
    finder = FileFinder(images.tree, images.folder, skipped)
    found = finder.find_all(file.image_names)
    for number, one in enumerate(found):
        for change in one.changes:
            findings.mended(f"file-name-{change}", MESSAGES[change], example=file.image_names[number], split=split)
    place = images.tree.place(images.folder)
    for number in order.tolist():
        table.append(found[number].entry or FileEntry(file.image_names[number], NO_FILE), place)
        table.image_ids.append(file.image_ids[number])
        table.heights.append(file.heights[number])
        table.widths.append(file.widths[number])
    named = {one.entry.name for one in found if one.entry}
    return {
        name
        for name in images.tree.file_names(images.folder)
        if name not in named and not name.endswith(images.suffixes)
    }


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
