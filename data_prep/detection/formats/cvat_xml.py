"""CVAT's own format for images, "CVAT for images 1.1": `annotations.xml`, and the images in `images`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from data_prep.detection.formats import bounds
from data_prep.detection.formats.bounds import Box
from data_prep.detection.formats.labelled_images import (
    NO_BOX,
    LabelledImage,
    LabelledSplit,
    NamedSplits,
    NoBoxError,
    clean_name,
)
from data_prep.detection.formats.source_files import (
    Catalog,
    common_folder,
    in_order,
    parent,
    split_of_file,
    suffix,
)
from data_prep.detection.formats.xml_elements import Element, XmlError, children_of_root, root_tag
from data_prep.detection.layout import Layout
from data_prep.files.reading import opened, read_bytes
from data_prep.files.tree import Tree, join
from data_prep.split_names import split_of
from mnasnet_cli.errors import DataError
from mnasnet_cli.records.findings import Findings

_ROOT = "annotations"
_SNIFFED_BYTES = 4096
_NOT_SHAPES = ("tag", "attribute")


class _Part(NamedTuple):
    """The images of one subset in one file. folder: of the images. subset: "" where there are none."""

    file: str
    subset: str
    folder: str


def recognise(catalog: Catalog, exif: str = "upright") -> Layout | None:
    """Return the layout of a source with CVAT's XML, None if it has none. Raises DataError if it is damaged.

    exif: not needed, because the files say the sizes of the images.
    """
    tree = catalog.tree
    splits: dict[str, list[_Part]] = {}
    classes: set[str] = set()
    for file in catalog.few_files(lambda name: suffix(name) == ".xml"):
        if root_tag(read_bytes(tree, file, _SNIFFED_BYTES)) != _ROOT:
            continue
        names, declared = _survey(tree, file)
        classes |= declared
        for subset, own in names.items():
            split = split_of(subset) or split_of_file(file) or "train"
            splits.setdefault(split, []).append(_Part(file, subset, catalog.image_folder(own, parent(file))))
    if not splits:
        return None
    readers = {}
    for split in in_order({split: [part.file for part in parts] for split, parts in splits.items()}):
        reader = _Reader(catalog, splits[split])
        readers[split] = LabelledSplit(reader.folder, tree.show(splits[split][0].file), reader.read)
    return NamedSplits(tree, readers, lambda: classes).layout("CVAT for images")


def _elements(tree: Tree, file: str) -> Iterator[Element]:
    """Yield the elements below the root of a file. Raises DataError."""
    shown = tree.show(file)
    try:
        with opened(tree, file) as stream:
            yield from children_of_root(stream)
    except XmlError as error:
        raise DataError(f"{shown}, line {error.line}: not XML ({error})") from None


def _survey(tree: Tree, file: str) -> tuple[dict[str, list[str]], set[str]]:
    """Return the names of the images in each subset, and the classes of a file. Raises DataError if it is a video's."""
    names: dict[str, list[str]] = {}
    classes: set[str] = set()
    default = ""
    for element in _elements(tree, file):
        if element.tag == "meta":
            classes |= _labels(element)
            default = element.value("task", "subset") or element.value("job", "subset")
        elif element.tag == "track":
            raise DataError(
                f"{tree.show(file)}, line {element.line}: this is 'CVAT for video'; export the task as"
                " 'CVAT for images 1.1' or as COCO"
            )
        elif element.tag == "image":
            names.setdefault(element.attributes.get("subset") or default, []).append(element.attributes.get("name", ""))
    return names, classes


def _labels(element: Element) -> set[str]:
    """Return the names of the labels that are declared anywhere below an element."""
    names = {clean_name(label.value("name")) for label in element.all("label")} - {""}
    return names.union(*map(_labels, element.children))


class _Reader:
    """Reads the images of one split. folder: their folder."""

    def __init__(self, catalog: Catalog, parts: Sequence[_Part]) -> None:
        self._catalog, self._parts = catalog, parts
        self.folder = common_folder([part.folder for part in parts])

    def read(self, findings: Findings) -> Iterator[LabelledImage]:
        """Yield the images."""
        tree = self._catalog.tree
        for part in self._parts:
            default = ""
            for element in _elements(tree, part.file):
                if element.tag == "meta":
                    default = element.value("task", "subset") or element.value("job", "subset")
                elif element.tag == "image" and (element.attributes.get("subset") or default) == part.subset:
                    yield self._image(element, part)

    def _image(self, element: Element, part: _Part) -> LabelledImage:
        place = f"{self._catalog.tree.show(part.file)}, line "
        name = element.attributes.get("name")
        if not name:
            raise DataError(f"{place}{element.line}: an image without a name")
        size = bounds.image_size(element.attributes.get("width"), element.attributes.get("height"))
        path = join(part.folder, name).removeprefix(f"{self.folder}/" if self.folder else "")
        image = LabelledImage(path, *size)
        for shape in element.children:
            if shape.tag in _NOT_SHAPES:
                continue
            try:
                image.add(clean_name(shape.attributes.get("label")), _box(shape), f"{place}{shape.line}")
            except NoBoxError:
                image.fault(NO_BOX, f"{place}{shape.line}")
        return image


def _box(shape: Element) -> Box | None:
    """Return the box of a shape, None if its numbers are damaged. Raises NoBoxError if its shape has none."""

    def values(*keys: str) -> list[float]:
        return [bounds.number(shape.attributes.get(key)) for key in keys]

    degrees = bounds.number(shape.attributes.get("rotation", 0))
    if shape.tag == "box":
        x1, y1, x2, y2 = values("xtl", "ytl", "xbr", "ybr")
        return bounds.of_rotated_box((x1, y1, x2 - x1, y2 - y1), degrees, ((x1 + x2) / 2, (y1 + y2) / 2))
    if shape.tag in ("polygon", "polyline"):
        pairs = [pair.split(",") for pair in shape.attributes.get("points", "").split(";")]
        return bounds.of_points([(bounds.number(pair[0]), bounds.number(pair[-1])) for pair in pairs])
    if shape.tag == "ellipse":
        x, y, radius_x, radius_y = values("cx", "cy", "rx", "ry")
        return bounds.of_ellipse(x, y, radius_x, radius_y, degrees)
    if shape.tag == "mask":
        x, y, width, height = values("left", "top", "width", "height")
        return x, y, width, height
    if shape.tag == "cuboid":
        corners = [key[1:] for key in shape.attributes if key.startswith("x")]
        return bounds.of_points([(*values(f"x{corner}"), *values(f"y{corner}")) for corner in corners])
    raise NoBoxError
