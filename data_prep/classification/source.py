"""Sources of images with one class each: finds their layout, and lists their images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_prep.classification.class_names import match_classes, read_class_names, report_similar_classes
from data_prep.classification.image_table import ImagenetTable
from data_prep.classification.layouts import recognise
from data_prep.classification.split_images import Counts
from data_prep.classification.view import Layout, View, open_source
from data_prep.options import Options
from data_prep.split_names import SPLITS
from mnasnet_cli.errors import DataError, os_error_reason
from mnasnet_cli.records.findings import Findings

MOST_CLASSES = 65_535


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
    view = View(open_source(root), options)
    layout = recognise(view)
    layout.splits.sort(key=lambda found: SPLITS.index(found.split))
    classes = list(layout.splits[0].classes)
    if len(classes) > MOST_CLASSES:
        raise DataError(f"{root} has {len(classes):,} classes, but records hold at most {MOST_CLASSES:,}")
    texts: list[str] = []
    tables = _list_images(layout, classes, texts, view.findings)
    names = read_class_names(view.tree, view.path, classes)
    texts += [names.get(name, name) for name in classes]
    report_similar_classes(classes, view.findings)
    if "validation" not in tables or options.val_fraction is not None:
        from data_prep.validation_share import with_validation  # it loads NumPy

        tables = with_validation(tables, options, view.findings)
    line = _layout_line(layout, classes, view.counts)
    return ImagenetSource(root, classes, texts, tables, view.counts.ignored, line, view.findings)


def _list_images(layout: Layout, classes: list[str], texts: list[str], findings: Findings) -> dict[str, ImagenetTable]:
    """List the images of each split. The first split, train if there is one, determines the classes."""
    numbers = {name: number for number, name in enumerate(classes, 1)}
    tables = {}
    while layout.splits:
        found = layout.splits.pop(0)  # its images may take much memory
        same = match_classes(found, classes, findings)
        table = ImagenetTable(found.place, synsets=classes, texts=texts)
        for batch in found.images():
            table.add(batch, numbers[same[batch.label]])
        if not len(table):
            raise DataError(
                f"no class folders in {found.place.path}: expected {Path(found.place.path).name}/<class>/*.jpg"
            )
        tables[found.split] = table
    return tables


def _layout_line(layout: Layout, classes: Sequence[str], counts: Counts) -> str:
    """Return what the source was taken for, in one line."""
    parts = [f"{layout.text}: {len(classes):,} class{'es' if len(classes) > 1 else ''}"]
    if counts.in_subfolders:
        parts.append(f"{counts.in_subfolders:,} images in subfolders are of the class of the folder above")
    if layout.left_out:
        more = f" and {len(layout.left_out) - 5:,} more" if len(layout.left_out) > 5 else ""
        parts.append(f"left out: {', '.join(layout.left_out[:5])}{more}")
    return "; ".join(parts)
