"""Label Studio's own JSON exports, "JSON" and "JSON-MIN". Boxes are in percent of the image.

The percentages are of the image as it is, also where the labeller turned the view (`image_rotation`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple

from data_prep.detection.formats import bounds
from data_prep.detection.formats.bounds import Box
from data_prep.detection.formats.brush_masks import brush_extent
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
    image_size,
    in_order,
    is_image,
    split_of_file,
    start_of,
    suffix,
)
from data_prep.detection.layout import Layout
from data_prep.files.file_names import FileFinder
from data_prep.files.reading import read_json
from data_prep.files.tree import Tree
from data_prep.split_names import split_of
from mnasnet_cli.errors import DataError
from mnasnet_cli.records.findings import Findings

_SPLIT_KEYS = ("split", "subset")


class _Task(NamedTuple):
    """An image. results: of the annotation that counts. annotations: how many there are. place: for messages."""

    address: str
    results: list[Any]
    annotations: int
    place: str


def recognise(catalog: Catalog, exif: str = "upright") -> Layout | None:
    """Return the layout of a source with Label Studio's JSON, None if it has none. Raises DataError.

    exif: how the sizes of the images are read; see `image_size`.
    """
    tree = catalog.tree
    files = [path for path in catalog.few_files(lambda name: suffix(name) == ".json") if _is_export(tree, path)]
    if not files:
        return None
    splits: dict[str, list[_Task]] = {}
    unlabelled = 0
    for file in files:
        for number, task in enumerate(read_json(tree, file), 1):
            found, split = _read_task(task, f"{tree.show(file)}, task {number}")
            if found is None:
                unlabelled += 1
            else:
                splits.setdefault(split or split_of_file(file) or "train", []).append(found)
    readers = {}
    for number, split in enumerate(in_order({split: [task.place for task in own] for split, own in splits.items()})):
        reader = _Reader(tree, splits[split], unlabelled if number == 0 else 0, exif)
        readers[split] = LabelledSplit("", tree.show(files[0]), reader.read)
    if not readers:
        raise DataError(f"{tree.show(files[0])}: no task has an annotation; label some images and export them again")
    return NamedSplits(tree, readers).layout("a JSON export of Label Studio")


def _is_export(tree: Tree, path: str) -> bool:
    start = start_of(tree, path).lstrip()
    is_task = '"data"' in start and ('"annotations"' in start or '"completions"' in start)
    return start.startswith("[") and (is_task or '"original_width"' in start)


def _read_task(task: Any, place: str) -> tuple[_Task | None, str | None]:
    """Return a task and the split that it names. The task is None if nobody has labelled it. Raises DataError."""
    if not isinstance(task, dict):
        raise DataError(f"{place}: this is not a task of Label Studio")
    data = task.get("data")
    data = data if isinstance(data, dict) else task
    address = next((one for one in data.values() if isinstance(one, str) and is_image(one.partition("?X-")[0])), None)
    address = address or data.get("image")
    if not isinstance(address, str) or not address:
        raise DataError(f"{place}: it has no image")
    split = next((found for key in _SPLIT_KEYS if (found := split_of(str(data.get(key, ""))))), None)
    if data is task:  # JSON-MIN: the results of one annotation stand beside the image
        listed = [one for value in task.values() if isinstance(value, list) for one in value if isinstance(one, dict)]
        return _Task(address, [{**one, "value": one} for one in listed], 1, place), split
    annotations = task.get("annotations", task.get("completions"))
    annotations = annotations if isinstance(annotations, list) else []
    good = [
        one for one in annotations if isinstance(one, dict) and not one.get("was_cancelled")
        and isinstance(one.get("result"), list)
    ]  # fmt: skip
    return (_Task(address, good[0]["result"], len(good), place) if good else None), split


class _Reader:
    """Reads the tasks of one split. unlabelled: how many tasks nobody has labelled."""

    def __init__(self, tree: Tree, tasks: Sequence[_Task], unlabelled: int, exif: str) -> None:
        self._tree, self._tasks, self._unlabelled, self._exif = tree, tasks, unlabelled, exif

    def read(self, findings: Findings) -> Iterator[LabelledImage]:
        """Yield the images."""
        findings.suspect(
            "not-labelled", "tasks have no annotation and were left out", count=self._unlabelled,
            advice="label them, or leave them out for good",
        )  # fmt: skip
        for task, path in zip(self._tasks, self._paths, strict=True):
            yield self._image(task, path, findings)

    @cached_property
    def _paths(self) -> list[str | None]:
        """The file of each task, None if there is none. Its address in Label Studio is never its path."""
        found = FileFinder(self._tree, "").find_all([task.address for task in self._tasks])
        if not any(one.entry for one in found):
            raise DataError(
                f"none of the {len(found):,} images is in {self._tree.path}, such as {self._tasks[0].address}:"
                " Label Studio exports JSON without images; put them beside the file, or export as COCO or YOLO"
            )
        return [one.entry.name if one.entry else None for one in found]

    def _image(self, task: _Task, path: str | None, findings: Findings) -> LabelledImage:
        if task.annotations > 1:
            findings.suspect("several-annotations", "tasks have several annotations: the first one counts",
                             example=task.place)  # fmt: skip
        results = [one for one in task.results if isinstance(one, dict) and isinstance(one.get("value"), dict)]
        sizes = (bounds.image_size(one.get("original_width"), one.get("original_height")) for one in results)
        size = next((size for size in sizes if size[0]), None) or (
            image_size(self._tree, path, self._exif) if path else None
        )
        image = LabelledImage(path or task.address, *(size or (None, None)))
        classes: dict[str | int, set[str]] = {}  # of a region: its shape and labels may be results of their own
        for number, one in enumerate(results):
            classes.setdefault(_region(one, number), set()).update(_classes(one["value"]))
        for number, one in enumerate(results):
            shape, region = _shape(one["value"]), _region(one, number)
            if shape is not None and region in classes and image.width and image.height:
                names = sorted(classes.pop(region))  # the labels of a shape repeat it
                _add(image, shape, one["value"], names, f"{task.place}, result {number + 1}")
        return image


def _region(result: Mapping[str, Any], number: int) -> str | int:
    """Return what the results of one region have in common: its id, or else the number of the result."""
    found = result.get("id")
    return str(found) if isinstance(found, str | int) else number


def _classes(value: Mapping[str, Any]) -> list[str]:
    """Return the classes of a result: of "rectanglelabels", "labels" and the like."""
    listed = [value[key] for key in value if key.endswith("labels") and isinstance(value[key], list)]
    return [name for names in listed for one in names if (name := clean_name(one))]


_SHAPES = {"points": "polygon", "radiusX": "ellipse", "rle": "brush", "height": "rectangle", "vertices": "polygon"}


def _shape(value: Mapping[str, Any]) -> str | None:
    """Return what kind of shape a result has, None if it has none, such as a choice. A point has a width, no height."""
    if "x" in value and "height" not in value and "radiusX" not in value:
        return "point"
    return next((kind for key, kind in _SHAPES.items() if key in value), None)


def _add(image: LabelledImage, shape: str, value: Mapping[str, Any], names: Sequence[str], place: str) -> None:
    if len(names) > 1:
        image.fault(SEVERAL_CLASSES, place)
    elif shape == "point":
        image.fault(NO_BOX, place)
    else:
        image.add(names[0] if names else "", _box(shape, value, image.width or 0, image.height or 0), place)


def _box(shape: str, value: Mapping[str, Any], width: int, height: int) -> Box | None:
    """Return the box of a shape, None if its numbers are damaged."""

    def pixels(key: str, side: int) -> float:
        return bounds.number(value.get(key)) * side / 100

    degrees = bounds.number(value.get("rotation", 0))
    if shape == "rectangle":
        box = (pixels("x", width), pixels("y", height), pixels("width", width), pixels("height", height))
        return bounds.of_rotated_box(box, degrees, box[:2])
    if shape == "ellipse":
        centre = pixels("x", width), pixels("y", height)
        return bounds.of_ellipse(*centre, pixels("radiusX", width), pixels("radiusY", height), degrees)
    if shape == "brush":
        return brush_extent(value.get("rle"), width, height)
    points = value.get("points") or value.get("vertices")
    return bounds.of_points(map(partial(_point, width, height), points if isinstance(points, list) else []))


def _point(width: int, height: int, point: Any) -> bounds.Point:
    """Return a point of a polygon, which is a list or, in vector shapes, an object, in px."""
    x, y = None, None
    if isinstance(point, dict):
        x, y = point.get("x"), point.get("y")
    elif isinstance(point, list) and len(point) == 2:
        x, y = point
    return bounds.number(x) * width / 100, bounds.number(y) * height / 100
