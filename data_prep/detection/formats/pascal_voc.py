"""Pascal VOC: an XML file for each image, as the VOC challenge, LabelImg, Roboflow, CVAT and Label Studio write them.

The files of the challenge count pixels from 1 and name the first and the last pixel of a box: xmin 1 and xmax W for a
box as wide as the image (VOC development kit). Its box is xmin - 1, with the width xmax - xmin + 1, as
Detectron2 reads it. Other programs write the edges of a box from 0.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial

from data_prep.detection.formats import bounds
from data_prep.detection.formats.labelled_images import LabelledImage, LabelledSplit, NamedSplits, clean_name
from data_prep.detection.formats.source_files import (
    Catalog,
    common_folder,
    in_order,
    is_image,
    parent,
    split_of_path,
    stem,
    suffix,
)
from data_prep.detection.formats.xml_elements import Element, XmlError, children_of_root, root_tag
from data_prep.detection.layout import Layout
from data_prep.files.reading import opened, read_bytes, read_text
from data_prep.files.tree import Tree, join
from data_prep.split_names import split_of
from mnasnet_cli.records.findings import Findings

NO_BOX = "it has neither a box nor a polygon"
NOT_XML = "its file is not XML"

_ROOT = "annotation"
_SNIFFED_FILES, _SNIFFED_BYTES = 5, 4096
_LIST_FOLDERS = ("imagesets/main", "imagesets", "")  # below the folder that holds the annotations' folder
_TRAIN_AND_VALIDATION = "trainval"
_LISTS = {
    _TRAIN_AND_VALIDATION: _TRAIN_AND_VALIDATION,
    "default": "train",
}  # CVAT: images of no subset are in "default"
_OFFICIAL_FOLDER = re.compile(r"VOC20\d\d")


def recognise(catalog: Catalog, exif: str = "upright") -> Layout | None:
    """Return the layout of a source with Pascal VOC files, None if it has none.

    exif: not needed, because the files say the sizes of the images.
    """
    tree = catalog.tree
    folders = {folder: files for folder in catalog.names if (files := _annotation_files(catalog, folder))}
    if not folders:
        return None
    images = _Images(catalog, folders)
    splits: dict[str, list[str]] = {}
    left_out = 0
    for folder, files in folders.items():
        sorted_in, unlisted = _sort_into_splits(catalog, folder, files, images)
        left_out += unlisted
        for split, names in sorted_in.items():
            splits.setdefault(split, []).extend(join(folder, name) for name in names)
    readers = {}
    for number, (split, files) in enumerate(in_order(splits).items()):
        reader = _Reader(tree, files, images, left_out if number == 0 else 0)
        name = tree.show(common_folder([parent(file) for file in files]))
        readers[split] = LabelledSplit(reader.folder, name, reader.read)
    marks = {_counts_from_one(tree, join(folder, files[0])) for folder, files in folders.items()}
    counting = "coordinates from 0 or 1, as each file says"
    if len(marks) == 1:
        counting = "coordinates from 1, as in the VOC challenge" if marks.pop() else "coordinates from 0"
    return NamedSplits(tree, readers).layout(f"Pascal VOC ({counting})")


def _is_xml(name: str) -> bool:
    return suffix(name) == ".xml"


def _annotation_files(catalog: Catalog, folder: str) -> list[str]:
    """Return the names of the XML files in a folder if they are Pascal VOC's."""
    names = [name for name in catalog.names[folder] if _is_xml(name)]
    tags = (root_tag(read_bytes(catalog.tree, join(folder, name), _SNIFFED_BYTES)) for name in names[:_SNIFFED_FILES])
    return names if any(tag == _ROOT for tag in tags) else []


class _Images:
    """Finds the images of annotation files: those that are named like them.

    folders: folder of annotations → the names of its files. Their images are in a folder that belongs to it or, if
    there is none, anywhere in the source.
    """

    def __init__(self, catalog: Catalog, folders: Mapping[str, list[str]]) -> None:
        self._catalog = catalog
        self._folders = {
            folder: catalog.partner(folder, set(map(stem, files)), is_image, _is_xml)
            for folder, files in folders.items()
        }
        self._paths: dict[str, dict[str, str]] = {}  # folder of images → stem → path

    def folder(self, file: str) -> str:
        """Return the folder of the image of an annotation file; the source itself if it is unknown."""
        known = self._folders[parent(file)]
        return known if known is not None else parent(self.find(file) or "")

    def find(self, file: str) -> str | None:
        """Return the path of the image of an annotation file, None if there is none."""
        folder = self._folders[parent(file)]
        if folder is None:
            return self._anywhere.get(stem(file))
        if folder not in self._paths:
            images = reversed(self._catalog.images(folder))
            self._paths[folder] = {stem(name): join(folder, name) for name in images}
        return self._paths[folder].get(stem(file))

    @cached_property
    def _anywhere(self) -> dict[str, str]:
        """The paths of those images of the source whose stem no other one has."""
        paths = self._catalog.files(is_image)
        counts = Counter(map(stem, paths))
        return {stem(path): path for path in paths if counts[stem(path)] == 1}


def _sort_into_splits(
    catalog: Catalog, folder: str, files: list[str], images: _Images
) -> tuple[dict[str, list[str]], int]:
    """Return the files of each split, by lists or else by the names of folders, and how many are in no list."""
    lists = _lists(catalog, parent(folder)) or _lists(catalog, parent(parent(folder)))
    names = {stem(file) for file in files}
    if not any(names & listed for listed in lists.values()):
        by_folder: dict[str, list[str]] = {}
        for file in files:
            split = split_of_path(folder) or split_of_path(images.folder(join(folder, file))) or "train"
            by_folder.setdefault(split, []).append(file)
        return by_folder, 0
    if "train" not in lists and "validation" not in lists and _TRAIN_AND_VALIDATION in lists:
        lists["train"] = lists[_TRAIN_AND_VALIDATION]
    lists.pop(_TRAIN_AND_VALIDATION, None)
    splits = {split: [file for file in files if stem(file) in listed] for split, listed in lists.items()}
    return splits, len(names.difference(*lists.values()))


def _lists(catalog: Catalog, base: str) -> dict[str, set[str]]:
    """Return the names of the images in each split, and in "trainval"."""
    for wanted in _LIST_FOLDERS:
        for folder in catalog.below(base):
            if folder.lower() != join(base, wanted).lower():
                continue
            lists: dict[str, set[str]] = {}
            for name in catalog.names[folder]:
                listed = name.lower().removesuffix(".txt")
                split = _LISTS.get(listed) or split_of(listed)
                if split and suffix(name) == ".txt":
                    lists.setdefault(split, set()).update(_listed(catalog, join(folder, name)))
            if lists:
                return lists
    return {}


def _listed(catalog: Catalog, file: str) -> set[str]:
    """Return the names in a list: the first column, without folders and suffix. Names may hold blanks."""
    names = set()
    for line in read_text(catalog.tree, file).splitlines():
        name = line.strip().rpartition("/")[2]
        if name:
            names |= {stem(one) if is_image(one) or _is_xml(one) else one for one in (name, name.split()[0])}
    return names


def _read_file(tree: Tree, name: str) -> list[Element]:
    """Return the children of a file's root. Raises XmlError, and DataError if the file cannot be read."""
    with opened(tree, name) as file:
        return list(children_of_root(file))


def _counts_from_one(tree: Tree, name: str) -> bool:
    try:
        return _is_official(Element(_ROOT, {}, 1, children=_read_file(tree, name)))
    except XmlError:
        return False


def _is_official(annotation: Element) -> bool:
    """Tell whether a file is one of the challenge: it names its data base or, without one, its folder."""
    database = annotation.value("source", "database")
    return "VOC" in database if database else bool(_OFFICIAL_FOLDER.fullmatch(annotation.value("folder")))


class _Reader:
    """Reads the files of one split.

    files: their paths. left_out: the number of files that are in no list. folder: of the images.
    """

    def __init__(self, tree: Tree, files: Sequence[str], images: _Images, left_out: int) -> None:
        self._tree, self._files, self._images, self._left_out = tree, sorted(files), images, left_out
        self.folder = common_folder([images.folder(file) for file in files])

    def read(self, findings: Findings) -> Iterator[LabelledImage]:
        """Yield the images."""
        findings.suspect(
            "not-in-a-list", "annotation files are in none of the lists in ImageSets and were left out",
            count=self._left_out,
        )  # fmt: skip
        yield from map(partial(self._read, findings), self._files)

    def _read(self, findings: Findings, file: str) -> LabelledImage:
        try:
            annotation = Element(_ROOT, {}, 1, children=_read_file(self._tree, file))
        except XmlError as error:
            image = LabelledImage(self._image_name(file, ""), is_listed=False)
            image.fault(f"{NOT_XML}: {error}", f"{self._tree.show(file)}, line {error.line}")
            return image
        image = LabelledImage(self._image_name(file, annotation.value("filename")), *_size(annotation))
        first, shown = int(_is_official(annotation)), self._tree.show(file)
        for one in annotation.all("object"):
            place = f"{shown}, line {one.line}"
            if one.value("difficult") == "1":
                findings.suspect("difficult-objects", "objects are marked difficult: they count as ordinary objects",
                                 example=place)  # fmt: skip
            _add_object(image, one, first, place, findings)
        return image

    def _image_name(self, file: str, filename: str) -> str:
        """Return the name of the image of a file: the one that is named like it, else the one that it names."""
        path = self._images.find(file) or join(self._images.folder(file), filename or f"{stem(file)}.jpg")
        return path.removeprefix(f"{self.folder}/" if self.folder else "")


def _size(annotation: Element) -> tuple[int, int] | tuple[None, None]:
    """Return (width, height), None if it is not said. Some programs write 0 where they do not know."""
    sizes = [bounds.image_size(size.value("width"), size.value("height")) for size in annotation.all("size")]
    return next((size for size in sizes if size[0]), (None, None))


def _add_object(image: LabelledImage, found: Element, first: int, place: str, findings: Findings) -> None:
    name = clean_name(found.value("name"))
    boxes, rotated, polygons = found.all("bndbox"), found.all("robndbox"), found.all("polygon")
    if boxes:
        x1, y1, x2, y2 = (bounds.number(boxes[0].value(key)) for key in ("xmin", "ymin", "xmax", "ymax"))
        if first and min(x1, y1) < first:
            findings.suspect(
                "counts-from-zero", "boxes begin before the first pixel, in files that count from 1", example=place,
                advice="if a program wrote them with edges from 0, remove 'VOC' from their 'database' and 'folder'",
            )  # fmt: skip
        if x2 - x1 + first < 0 or y2 - y1 + first < 0:
            findings.mended("swapped-corners", "boxes had their corners in another order", example=place)
            x1, x2, y1, y2 = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
        image.add(name, (x1 - first, y1 - first, x2 - x1 + first, y2 - y1 + first), place)
    elif rotated:
        x, y, width, height, radians = (bounds.number(rotated[0].value(key)) for key in ("cx", "cy", "w", "h", "angle"))
        box = (x - width / 2, y - height / 2, width, height)
        image.add(name, bounds.of_rotated_box(box, bounds.degrees(radians), (x, y)), place)
    elif polygons:
        findings.mended("box-of-polygon", "objects had no box: it was taken from their polygon", example=place)
        image.add(name, bounds.of_points(_polygon(polygons[0])), place)
    else:
        image.fault(NO_BOX, place)


def _polygon(polygon: Element) -> list[tuple[float, float]]:
    """Return the points of a polygon: of <pt><x/><y/></pt> (LabelMe), or of <x1/><y1/><x2/><y2/> (Roboflow)."""
    points = [(point.value("x"), point.value("y")) for point in polygon.all("pt")]
    if not points:
        count = sum(child.tag.startswith("x") for child in polygon.children)
        points = [(polygon.value(f"x{place}"), polygon.value(f"y{place}")) for place in range(1, count + 1)]
    return [(bounds.number(x), bounds.number(y)) for x, y in points]
