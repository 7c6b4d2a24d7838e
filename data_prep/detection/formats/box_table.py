"""CSV tables with a box on each line, as Roboflow has them: `filename,width,height,class,xmin,ymin,xmax,ymax`."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from data_prep.detection.formats import bounds
from data_prep.detection.formats.labelled_images import LabelledImage, LabelledSplit, NamedSplits, clean_name
from data_prep.detection.formats.source_files import (
    Catalog,
    common_folder,
    in_order,
    parent,
    split_of_file,
    start_of,
    suffix,
)
from data_prep.detection.layout import Layout
from data_prep.files.reading import read_text
from data_prep.files.tree import Tree, join
from mnasnet_cli.errors import DataError
from mnasnet_cli.records.findings import Findings

_FILES = ("filename", "imagename", "imagepath", "image", "path")  # names of columns without case and punctuation
_CLASSES = ("class", "classname", "label", "labelname", "category")
_EDGES = ("xmin", "ymin", "xmax", "ymax")


class _Row(NamedTuple):
    """A line of a table. edges: left, top, right and bottom in px. place: file and line, for messages."""

    file_name: str
    category: str
    size: tuple[int, int] | tuple[None, None]
    edges: list[str]
    place: str


def recognise(catalog: Catalog, exif: str = "upright") -> Layout | None:
    """Return the layout of a source with such tables, None if it has none. Raises DataError if one is damaged.

    exif: not needed, because the edges are taken as they are.
    """
    tree = catalog.tree
    splits: dict[str, list[str]] = {}
    for path in catalog.few_files(lambda name: suffix(name) == ".csv"):
        if _columns(start_of(tree, path).partition("\n")[0]):
            splits.setdefault(split_of_file(path) or "", []).append(path)
    if not splits:
        return None
    whole = splits.pop("", [])
    if "train" not in splits:  # beside train_labels.csv, labels.csv has the same images again
        splits["train"] = whole
    readers = {}
    for split, own in in_order(splits).items():
        reader = _Reader(catalog, own)
        name = tree.show(own[0] if len(own) == 1 else common_folder(list(map(parent, own))))
        readers[split] = LabelledSplit(reader.folder, name, reader.read)
    return NamedSplits(tree, readers).layout("CSV tables of boxes")


def _columns(header: str) -> dict[str, int]:
    """Return what a column holds → its number: "file", "class", the edges and perhaps the size. {}: another table."""
    cells = [re.sub(r"[\W_]+", "", cell).casefold() for cell in header.split(_delimiter(header))]
    found = {name: cells.index(name) for name in (*_EDGES, "width", "height") if name in cells}
    for key, names in (("file", _FILES), ("class", _CLASSES)):
        if known := [name for name in names if name in cells]:
            found[key] = cells.index(known[0])
    return found if {"file", "class", *_EDGES} <= found.keys() else {}


def _delimiter(header: str) -> str:
    return max(",;\t", key=header.count)


def _rows(tree: Tree, path: str) -> Iterator[_Row]:
    text = read_text(tree, path)
    header = text.partition("\n")[0]
    columns = _columns(header)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(header), skipinitialspace=True)
    try:
        next(lines)
        for cells in filter(any, lines):
            place = f"{tree.show(path)}, line {lines.line_num}"
            if len(cells) <= max(columns.values()):
                raise DataError(
                    f"{place}: {len(cells)} columns, but the first line has {header.count(_delimiter(header)) + 1}"
                )
            value = {key: cells[number].strip() for key, number in columns.items()}
            size = bounds.image_size(value.get("width"), value.get("height"))
            name = value["file"].replace("\\", "/")
            yield _Row(name, clean_name(value["class"]), size, [value[edge] for edge in _EDGES], place)
    except csv.Error as error:
        raise DataError(f"{tree.show(path)}, line {lines.line_num}: not CSV ({error})") from None


class _Reader:
    """Reads the tables of one split. folder: of their images."""

    def __init__(self, catalog: Catalog, files: Sequence[str]) -> None:
        self._images: dict[str, list[_Row]] = {}
        self._repeated: list[str] = []  # images that an earlier table has
        folders: dict[str, str] = {}
        for file in files:
            rows = list(_rows(catalog.tree, file))
            folder = catalog.image_folder([row.file_name for row in rows], parent(file))
            images: dict[str, list[_Row]] = {}
            for row in rows:
                images.setdefault(join(folder, row.file_name), []).append(row)
            self._repeated += images.keys() & self._images.keys()
            self._images = images | self._images
            folders[file] = folder
        self.folder = common_folder(list(folders.values()))

    def read(self, findings: Findings) -> Iterator[LabelledImage]:
        """Yield the images. A line without a class and without edges names an image without boxes."""
        if self._repeated:
            findings.suspect("in-two-files", "images are in two CSV tables: the first table counts",
                             count=len(self._repeated), example=min(self._repeated))  # fmt: skip
        for path, rows in self._images.items():
            image = LabelledImage(path.removeprefix(f"{self.folder}/" if self.folder else ""), *rows[0].size)
            for row in rows:
                if row.category or any(row.edges):
                    x1, y1, x2, y2 = map(bounds.number, row.edges)
                    image.add(row.category, (x1, y1, x2 - x1, y2 - y1), row.place)
            yield image
