"""VIA, the VGG Image Annotator: its JSON and CSV exports, and its projects of versions 1 to 3."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from data_prep.detection.formats import bounds
from data_prep.detection.formats.labelled_images import (
    NO_BOX,
    SEVERAL_CLASSES,
    LabelledImage,
    LabelledSplit,
    NamedSplits,
    clean_name,
)
from data_prep.detection.formats.source_files import (
    Catalog,
    common_folder,
    image_size,
    in_order,
    parent,
    split_of_file,
    start_of,
    suffix,
)
from data_prep.detection.formats.via_3 import is_version_3, to_version_2
from data_prep.detection.layout import Layout
from data_prep.files.reading import read_json, read_text
from data_prep.files.tree import Tree, join
from mnasnet_cli.errors import DataError
from mnasnet_cli.records.findings import Findings
from mnasnet_cli.system.documents import parse_json

ONLY_CLASS = "object"  # where regions have no attributes

_USUAL_ATTRIBUTES = ("class", "label", "category", "name", "type", "object", "species")
_PROJECT_KEY = "_via_img_metadata"
_MARKS = ((_PROJECT_KEY,), ("filename", "regions", "size"), ("project", "vid_list", "config"))  # keys of JSON files
_CSV_KEY = "region_shape_attributes"


class _Region(NamedTuple):
    """A region. shape, attributes: as VIA has them. place: for messages."""

    shape: Any
    attributes: Any
    place: str


@dataclass
class _File:
    """A file of VIA. images: file name → regions. options: attribute of regions → its options: id → description."""

    path: str
    images: dict[str, list[_Region]] = field(default_factory=dict)
    options: dict[str, dict[str, str]] = field(default_factory=dict)


def recognise(catalog: Catalog, exif: str = "upright") -> Layout | None:
    """Return the layout of a source with files of VIA, None if it has none. Raises DataError if one is damaged.

    exif: how the sizes of the images are read; see `image_size`.
    """
    tree = catalog.tree
    wanted = catalog.few_files(lambda name: suffix(name) in (".json", ".csv"))
    paths = [path for path in wanted if _is_via(tree, path)]
    if not paths:
        return None
    files = [_read_csv(tree, path) if suffix(path) == ".csv" else _read_json(tree, path) for path in paths]
    attribute = _class_attribute(files)
    splits: dict[str, list[str]] = {}
    for file in files:
        splits.setdefault(split_of_file(file.path) or "train", []).append(file.path)
    by_path = {file.path: file for file in files}
    readers = {}
    for split, own in in_order(splits).items():
        reader = _Reader(catalog, [by_path[path] for path in own], attribute, exif)
        name = tree.show(own[0] if len(own) == 1 else common_folder(list(map(parent, own))))
        readers[split] = LabelledSplit(reader.folder, name, reader.read)
    classes = f"classes from the attribute '{attribute}'" if attribute else f"one class, '{ONLY_CLASS}'"
    return NamedSplits(tree, readers).layout(f"VIA annotations ({classes})")


def _is_via(tree: Tree, path: str) -> bool:
    start = start_of(tree, path)
    if suffix(path) == ".csv":
        return _CSV_KEY in start.partition("\n")[0]
    return any(all(f'"{key}"' in start for key in keys) for keys in _MARKS)


def _read_json(tree: Tree, path: str) -> _File:
    content = read_json(tree, path)
    file = _File(path)
    if is_version_3(content):
        content = to_version_2(content)
    if isinstance(content, dict) and _PROJECT_KEY in content:
        file.options = _options(content.get("_via_attributes"))
        content = content[_PROJECT_KEY]
    entries = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    for number, entry in enumerate(entries, 1):
        name = entry.get("filename") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name:
            raise DataError(f"{tree.show(path)}: image {number} has no 'filename'")
        regions = entry.get("regions") or []
        listed = regions.values() if isinstance(regions, dict) else regions if isinstance(regions, list) else ()
        known = file.images.setdefault(name, [])
        for region_number, region in enumerate(listed, 1):
            one = region if isinstance(region, dict) else {}
            place = f"{tree.show(path)}, region {region_number}"
            known.append(_Region(one.get("shape_attributes"), one.get("region_attributes"), place))
    return file


def _options(attributes: Any) -> dict[str, dict[str, str]]:
    """Return the options of those attributes of regions that have options."""
    found = {}
    regions = attributes.get("region") if isinstance(attributes, dict) else None
    for name, attribute in regions.items() if isinstance(regions, dict) else ():
        options = attribute.get("options") if isinstance(attribute, dict) else None
        if isinstance(options, dict) and options:
            found[name] = {key: str(value or "") for key, value in options.items()}
    return found


def _read_csv(tree: Tree, path: str) -> _File:
    """Read a CSV export: a row for each region, and one for each image without regions."""
    file = _File(path)
    for line, row in _rows(tree, path):
        place = f"{tree.show(path)}, line {line}"
        name = row.get("filename") or row.get("#filename")
        if not name:
            raise DataError(f"{place}: no file name")
        regions = file.images.setdefault(name, [])
        shape, attributes = (
            parse_json(row.get(key) or "{}", f"{place}: '{key}'", foreign=True)
            for key in (_CSV_KEY, "region_attributes")
        )
        if shape:
            regions.append(_Region(shape, attributes, place))
    return file


def _rows(tree: Tree, path: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line number of each row, and the row."""
    rows = csv.DictReader(io.StringIO(read_text(tree, path), newline=""))
    try:
        for row in rows:
            yield rows.line_num, row
    except csv.Error as error:
        raise DataError(f"{tree.show(path)}, line {rows.line_num}: not CSV ({error})") from None


def _class_attribute(files: Sequence[_File]) -> str | None:
    """Return the attribute of regions that names the class; None if regions have no attributes.

    It is one with options if there is one, else one with a usual name, else the one that most regions have.
    """
    counts = Counter(
        name
        for file in files for regions in file.images.values() for region in regions
        if isinstance(region.attributes, dict)
        for name, value in region.attributes.items() if _values(value)
    )  # fmt: skip
    with_options = {name for file in files for name in file.options}

    def grade(name: str) -> tuple[bool, int, int, str]:
        lower = name.lower()
        usual = _USUAL_ATTRIBUTES.index(lower) if lower in _USUAL_ATTRIBUTES else len(_USUAL_ATTRIBUTES)
        return name not in with_options, usual, -counts[name], name

    return min(counts, key=grade, default=None)


def _values(value: Any) -> list[str]:
    """Return the values of an attribute: several for checkboxes."""
    chosen = [key for key, is_set in value.items() if is_set] if isinstance(value, dict) else [value]
    return [name for one in chosen if (name := clean_name(one))]


class _Reader:
    """Reads the images of one split.

    folder: their folder. attribute: names the class of a region, None if there is one class only.
    """

    def __init__(self, catalog: Catalog, files: Sequence[_File], attribute: str | None, exif: str) -> None:
        self._catalog, self._files, self._attribute, self._exif = catalog, files, attribute, exif
        self._folders = [catalog.image_folder(list(file.images), parent(file.path)) for file in files]
        self.folder = common_folder(self._folders)

    def read(self, findings: Findings) -> Iterator[LabelledImage]:
        """Yield the images. One that is in two files, such as a project and its export, is taken from the first."""
        seen = set()
        for file, folder in zip(self._files, self._folders, strict=True):
            for name, regions in file.images.items():
                path = join(folder, name)
                if path in seen:
                    findings.suspect("in-two-files", "images are in two files of VIA: the first file counts",
                                     example=f"{name} in {self._catalog.tree.show(file.path)}")  # fmt: skip
                    continue
                seen.add(path)
                yield self._image(path, regions, file)

    def _image(self, path: str, regions: Sequence[_Region], file: _File) -> LabelledImage:
        size = image_size(self._catalog.tree, path, self._exif) if self._catalog.has(path) else None
        image = LabelledImage(path.removeprefix(f"{self.folder}/" if self.folder else ""), *(size or (None, None)))
        for region in regions:
            names = [ONLY_CLASS]
            if self._attribute is not None:
                attributes = region.attributes if isinstance(region.attributes, dict) else {}
                names = _values(attributes.get(self._attribute))
            if len(names) > 1:
                image.fault(SEVERAL_CLASSES, region.place)
                continue
            name = names[0] if names else ""
            options = file.options.get(self._attribute or "", {})
            name = clean_name(options.get(name)) or name if name.isdecimal() else name  # numbered options
            _add_shape(image, name, region)
        return image


def _add_shape(image: LabelledImage, name: str, region: _Region) -> None:
    shape = region.shape if isinstance(region.shape, dict) else {}
    kind = shape.get("name")
    value = partial(_number, shape)
    if kind == "rect":
        image.add(name, (value("x"), value("y"), value("width"), value("height")), region.place)
    elif kind == "circle":
        image.add(name, bounds.of_ellipse(value("cx"), value("cy"), value("r"), value("r")), region.place)
    elif kind == "ellipse":
        radians = value("theta") if "theta" in shape else 0
        ellipse = value("cx"), value("cy"), value("rx"), value("ry")
        image.add(name, bounds.of_ellipse(*ellipse, bounds.degrees(radians)), region.place)
    elif kind in ("polygon", "polyline"):
        columns, rows = shape.get("all_points_x"), shape.get("all_points_y")
        points = list(zip(columns, rows, strict=False)) if isinstance(columns, list) and isinstance(rows, list) else []
        image.add(name, bounds.of_points([(bounds.number(x), bounds.number(y)) for x, y in points]), region.place)
    else:
        image.fault(NO_BOX, region.place)


def _number(shape: dict[str, Any], key: str) -> float:
    return bounds.number(shape.get(key))
