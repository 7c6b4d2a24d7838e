"""Supervisely: a project with `meta.json`, and data sets with the folders `img` and `ann`: a JSON for each image."""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

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
    is_image,
    parent,
    split_of_path,
    start_of,
    stem,
    suffix,
)
from data_prep.detection.layout import Layout
from data_prep.files.reading import read_json
from data_prep.files.tree import Tree, join
from data_prep.split_names import split_of
from mnasnet_cli.errors import DataError
from mnasnet_cli.records.findings import Findings

DAMAGED = "its file is damaged"

_IMAGES, _ANNOTATIONS, _META = "img", "ann", "meta.json"
_SPLIT_TAGS = ("split", "subset", "set")  # tags whose value is the split
_MAX_BITMAP_BYTES = 1 << 26  # a PNG with one bit for each pixel is much smaller


def recognise(catalog: Catalog, exif: str = "upright") -> Layout | None:
    """Return the layout of a project of Supervisely, None if the source is none. Raises DataError if it is damaged.

    exif: not needed, because the files say the sizes of the images.
    """
    tree = catalog.tree
    files = [join(folder, name) for folder in _annotation_folders(catalog) for name in _json_names(catalog, folder)]
    if not files:
        return None
    metas = [file for file in catalog.files(_META.__eq__) if isinstance(read_json(tree, file), dict)]
    if not (metas or '"objects"' in start_of(tree, files[0])):
        return None
    classes, has_split_tags = _meta(tree, metas)
    splits: dict[str, list[str]] = {}
    for file in files:
        split = split_of_path(parent(file)) or (_split_of_tags(tree, file) if has_split_tags else None) or "train"
        splits.setdefault(split, []).append(file)
    readers = {}
    for split, own in in_order(splits).items():
        reader = _Reader(catalog, own)
        name = tree.show(common_folder(list(map(parent, own))))
        readers[split] = LabelledSplit(reader.folder, name, reader.read)
    return NamedSplits(tree, readers, lambda: classes).layout("a Supervisely project")


def _annotation_folders(catalog: Catalog) -> list[str]:
    """Return the folders of annotations that have a folder of images beside them."""
    return [
        folder
        for folder in catalog.names
        if folder.rpartition("/")[2] == _ANNOTATIONS and join(parent(folder), _IMAGES) in catalog.names
    ]


def _json_names(catalog: Catalog, folder: str) -> list[str]:
    return [name for name in catalog.names[folder] if suffix(name) == ".json"]


def _meta(tree: Tree, metas: Sequence[str]) -> tuple[list[str], bool]:
    """Return the classes of a project, and whether tags of its images may name splits."""
    classes, tags = [], []
    for file in metas:
        content = read_json(tree, file)
        classes += [clean_name(one.get("title")) for one in _dicts(content.get("classes"))]
        tags += [clean_name(one.get("name")) for one in _dicts(content.get("tags"))]
    return [name for name in classes if name], any(split_of(tag) or tag.lower() in _SPLIT_TAGS for tag in tags)


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _split_of_tags(tree: Tree, file: str) -> str | None:
    """Return the split that the tags of an image name: the tag "train", or a tag "split" with the value "train"."""
    for tag in _dicts(_read_file(tree, file).get("tags")):
        name = clean_name(tag.get("name"))
        if split := split_of(clean_name(tag.get("value")) if name.lower() in _SPLIT_TAGS else name):
            return split
    return None


def _read_file(tree: Tree, file: str) -> dict[str, Any]:
    content = read_json(tree, file)
    if not isinstance(content, dict) or not isinstance(content.get("objects"), list):
        raise DataError(f"{tree.show(file)} is not an annotation of Supervisely: it has no list 'objects'")
    return content


class _Reader:
    """Reads the annotation files of one split. folder: of their images."""

    def __init__(self, catalog: Catalog, files: Sequence[str]) -> None:
        self._catalog, self._files = catalog, files
        self.folder = common_folder([_image_folder(file) for file in files])
        self._names: dict[str, dict[str, str]] = {}  # folder of images → stem → name

    def read(self, findings: Findings) -> Iterator[LabelledImage]:
        """Yield the images."""
        yield from map(partial(self._read, findings), self._files)

    def _read(self, findings: Findings, file: str) -> LabelledImage:
        try:
            content = _read_file(self._catalog.tree, file)
        except DataError as error:
            image = LabelledImage(self._image_name(file), is_listed=False)
            image.fault(DAMAGED, str(error))
            return image
        size = content.get("size")
        known = bounds.image_size(size.get("width"), size.get("height")) if isinstance(size, dict) else (None, None)
        image = LabelledImage(self._image_name(file), *known)
        for number, one in enumerate(content["objects"], 1):
            place = f"{self._catalog.tree.show(file)}, object {number}"
            found = one if isinstance(one, dict) else {}
            try:
                box = _box(found)
            except NoBoxError:
                image.fault(NO_BOX, place)
                continue
            image.add(clean_name(found.get("classTitle")), box, place)
        return image

    def _image_name(self, file: str) -> str:
        """Return the image of an annotation file: a.png of a.png.json, or of a.json as old projects have it."""
        folder, name = _image_folder(file), stem(file)
        if not is_image(name):
            if folder not in self._names:
                self._names[folder] = {stem(image): image for image in reversed(self._catalog.images(folder))}
            name = self._names[folder].get(name, name)
        return join(folder, name).removeprefix(f"{self.folder}/")


def _image_folder(file: str) -> str:
    return join(parent(parent(file)), _IMAGES)


def _box(found: dict[str, Any]) -> Box | None:
    """Return the box of an object, None if its numbers are damaged. Raises NoBoxError if its shape has none."""
    bitmap, points, nodes = found.get("bitmap"), found.get("points"), found.get("nodes")
    if isinstance(bitmap, dict):
        return _box_of_bitmap(bitmap)
    if isinstance(points, dict):
        listed = points.get("exterior")
    elif isinstance(nodes, dict):  # a graph of keypoints
        listed = [node.get("loc") for node in nodes.values() if isinstance(node, dict)]
    else:
        listed = points
    if not isinstance(listed, list) or len(listed) < 2:
        raise NoBoxError
    box = bounds.of_points([_point(one) for one in listed])
    radians = bounds.number(found.get("angle", 0))
    if box is None or not radians:
        return box
    return bounds.of_rotated_box(box, bounds.degrees(radians), (box[0] + box[2] / 2, box[1] + box[3] / 2))


def _point(value: Any) -> bounds.Point:
    x, y = value if isinstance(value, list) and len(value) == 2 else (None, None)
    return bounds.number(x), bounds.number(y)


def _box_of_bitmap(bitmap: dict[str, Any]) -> Box | None:
    """Return the box around the pixels that are set in a bitmap: a zlib-compressed PNG in base64, and its origin."""
    from PIL import Image

    x, y = _point(bitmap.get("origin"))
    try:
        data = zlib.decompressobj().decompress(base64.b64decode(str(bitmap.get("data"))), _MAX_BITMAP_BYTES)
        with Image.open(io.BytesIO(data)) as image:
            has_alpha = "A" in image.getbands() or "transparency" in image.info
            mask = image.convert("RGBA").getchannel("A") if has_alpha else image.convert("L")
    except (OSError, ValueError, SyntaxError, zlib.error, Image.DecompressionBombError):
        return None
    extent = mask.getbbox()
    if extent is None:
        raise NoBoxError
    left, top, right, bottom = extent
    return x + left, y + top, right - left, bottom - top
