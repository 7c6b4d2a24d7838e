"""COCO-style sources: images and annotations, in folders or zips."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.detection.annotations import Fault, read_annotations
from data_prep.detection.boxes import check_boxes
from data_prep.detection.categories import merge_categories
from data_prep.detection.coco_layouts import names_other_split
from data_prep.detection.image_files import find_images
from data_prep.detection.layout import AnnotatedImages
from data_prep.detection.recognition import find_layout
from data_prep.detection.suspicions import suspect_annotations
from data_prep.detection.table import CocoTable
from data_prep.files.archives import FileEntry
from data_prep.options import CocoOptions
from data_prep.validation_share import with_validation
from mnasnet_cli.errors import DataError, os_error_reason
from mnasnet_cli.records.findings import Findings


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
            "bad_annotations": [{"split": split, **fault} for split, faults in self.faults.items() for fault in faults],
        }


def find_source(root: Path, options: CocoOptions) -> CocoSource:
    """List a source. Raises DataError if something is missing or invalid, unless `options` say to skip it."""
    try:
        return _find_source(Path(root), options)
    except OSError as error:
        raise DataError(f"cannot read {error.filename}: {os_error_reason(error)}") from error


def _find_source(root: Path, options: CocoOptions) -> CocoSource:
    layout = find_layout(root, options)
    findings = Findings()
    files = {split: read_annotations(images.read(), images.name) for split, images in layout.splits.items()}
    categories = merge_categories(files, {split: images.name for split, images in layout.splits.items()}, findings)
    labels = {category_id: label for label, category_id in enumerate(categories, 1)}
    tables, faults = {}, {}
    unnamed: dict[str, set[str]] = {}  # folder or zip → files that no split names
    for split, file in files.items():
        images = layout.splits[split]
        if options.crowd_as_objects:
            file.crowds = array("b", bytes(len(file.crowds)))
        is_skipped = names_other_split(split if len(layout.splits) > 1 else None)
        entries = find_images(file, images, split, options, findings, is_skipped)
        for finding in file.findings:
            findings.add(replace(finding, split=split))
        suspect_annotations(file, split, findings)
        order = np.argsort(np.asarray(file.image_ids, np.int64), kind="stable")
        tables[split] = CocoTable(images, list(categories.values()))
        tables[split].fill(file, entries, order, images)
        tables[split].boxes, faults[split] = check_boxes(file, order, labels)
        others = _other_files(images, entries)
        place = images.tree.show(images.folder)
        unnamed[place] = unnamed.get(place, others) & others  # two splits may share a folder
        _check_faults(images.name, len(tables[split].boxes.labels), faults[split], options)
    tables = with_validation(tables, options, findings)
    return CocoSource(root, tables, categories, faults, sum(map(len, unnamed.values())), layout.description, findings)


def _other_files(images: AnnotatedImages, entries: list[FileEntry]) -> set[str]:
    """Return the files in the folder of a split that are none of its images."""
    names = set(images.tree.file_names(images.folder)) - {entry.name for entry in entries}
    return {name for name in names if not name.lower().endswith(images.suffixes)}


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
