"""YOLO: a label file for each image, as Ultralytics, Roboflow, Darknet, CVAT, LabelImg and Label Studio write them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial

from data_prep.detection.formats.labelled_images import LabelledImage, to_entries
from data_prep.detection.formats.source_files import (
    Catalog,
    common_folder,
    image_size,
    in_order,
    is_image,
    parent,
    split_of_path,
    stem,
    suffix,
)
from data_prep.detection.formats.yolo_config import YoloConfig, find_config, find_names, resolve
from data_prep.detection.formats.yolo_labels import NOT_FRACTIONS, LabelLineError, parse_line, split_lines
from data_prep.detection.layout import AnnotatedImages, Entries, Layout
from data_prep.files.file_names import FileFinder
from data_prep.files.reading import read_text
from data_prep.files.tree import Tree, join
from data_prep.split_names import split_of
from mnasnet_cli.errors import DataError
from mnasnet_cli.records.findings import Findings

_IMAGE_FOLDER, _LABEL_FOLDER = "images", "labels"
_SUFFIXES = (".txt", ".yaml", ".yml", ".names", ".data", ".labels", ".json")
_SNIFFED = 20  # label files that are looked at


def recognise(catalog: Catalog, exif: str = "upright") -> Layout | None:
    """Return the layout of a source with YOLO labels, None if it has none. Raises DataError if it is damaged.

    exif: how the sizes of the images are read; see `image_size`.
    """
    tree = catalog.tree
    if not catalog.files(_is_label):
        return None
    config = find_config(catalog)
    labels = _LabelFiles(catalog)
    splits = _configured_splits(catalog, config) if config.splits else _splits_by_folder(catalog, labels)
    splits = in_order(splits)
    found = [label for images in splits.values() for image in images if (label := labels.find(image))]
    is_configured = bool(config.splits and config.names)
    if is_configured and splits and not found:
        raise DataError(
            f"{tree.show(config.file)} names {sum(map(len, splits.values())):,} images, but none has a label file;"
            f" expected {labels.expected(next(iter(splits.values()))[0])}"
        )
    if not found or not (is_configured or _are_labels(tree, found)):
        return None
    return _YoloSource(catalog, find_names(catalog, config), labels, splits, exif).layout()


def _is_label(name: str) -> bool:
    return suffix(name) == ".txt"


class _LabelFiles:
    """Finds the label file of an image."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._folders: dict[str, str | None] = {}  # folder of images → folder of their labels

    def find(self, image: str) -> str | None:
        """Return the path of the label file of an image, None if there is none."""
        folder = parent(image)
        if folder not in self._folders:
            self._folders[folder] = self._find_folder(folder)
        labels = self._folders[folder]
        path = None if labels is None else join(labels, f"{stem(image)}.txt")
        return path if path and self._catalog.has(path) else None

    def expected(self, image: str) -> str:
        """Return where the label file of an image is in the usual layout."""
        return self._catalog.tree.show(join(_usual_folder(parent(image)) or parent(image), f"{stem(image)}.txt"))

    def _find_folder(self, folder: str) -> str | None:
        if folder not in self._catalog.names:
            return None  # a list names images that are not there
        stems = {stem(name) for name in self._catalog.images(folder)}
        usual = _usual_folder(folder)
        if usual and any(_is_label(name) and stem(name) in stems for name in self._catalog.names.get(usual, ())):
            return usual
        return self._catalog.partner(folder, stems, _is_label, is_image)


def _usual_folder(folder: str) -> str | None:
    """Return the folder of labels that Ultralytics takes: the last "images" in the path becomes "labels"."""
    parts = folder.split("/")
    if _IMAGE_FOLDER not in parts:
        return None
    parts[len(parts) - 1 - parts[::-1].index(_IMAGE_FOLDER)] = _LABEL_FOLDER
    return "/".join(parts)


def _configured_splits(catalog: Catalog, config: YoloConfig) -> dict[str, list[str]]:
    """Return the paths of the images of each split as the configuration says. Raises DataError if there are none."""
    splits, missing = {}, []
    for split, places in config.splits.items():
        images: dict[str, None] = {}
        for place in places:
            path = resolve(catalog, config, place)
            if path is None:
                missing.append(place)
                config.missing += [place] if split != "test" else []  # Roboflow names it always
            elif path in catalog.names:
                images |= {join(one, name): None for one in catalog.below(path) for name in catalog.images(one)}
            elif is_image(path):
                images[path] = None
            else:
                images |= dict.fromkeys(_listed_images(catalog, config, path))
        splits[split] = sorted(images)
    if missing and not any(splits.values()):
        raise DataError(
            f"{catalog.tree.show(config.file)} names {', '.join(missing)}, but there is no such folder in"
            f" {catalog.tree.path}; give the folder that also holds the images"
        )
    return splits


def _listed_images(catalog: Catalog, config: YoloConfig, file: str) -> Iterator[str]:
    """Yield the images that a list names. Those that are not there are yielded as they stand in it."""
    unknown = []
    for line in read_text(catalog.tree, file).splitlines():
        if name := line.strip():
            near = join(parent(file), name.removeprefix("./"))
            path = near if catalog.has(near) else resolve(catalog, config, name)
            if path is None:
                unknown.append(name)
            else:
                yield path
    for name, found in zip(unknown, FileFinder(catalog.tree, "").find_all(unknown), strict=True):
        yield found.entry.name if found.entry else name.removeprefix("./")


def _splits_by_folder(catalog: Catalog, labels: _LabelFiles) -> dict[str, list[str]]:
    """Return the images of each split, as the names of their folders say. Folders without labels are left out."""
    splits: dict[str, list[str]] = {}
    for folder in catalog.names:
        images = [join(folder, name) for name in catalog.images(folder)]
        if any(map(labels.find, images)):
            split = split_of_path(folder) or _split_of_darknet(folder) or "train"
            splits.setdefault(split, []).extend(images)
    return {split: sorted(images) for split, images in splits.items()}


def _split_of_darknet(folder: str) -> str | None:
    """Return the split of a folder such as obj_train_data."""
    words = folder.rpartition("/")[2].split("_")
    return split_of(words[1]) if len(words) == 3 and (words[0], words[2]) == ("obj", "data") else None


def _are_labels(tree: Tree, files: list[str]) -> bool:
    """Tell from some text files whether they are label files."""
    step = max(1, len(files) // _SNIFFED)
    good = bad = 0
    for file in files[::step]:
        for _, line in split_lines(read_text(tree, file))[:1]:
            try:
                parse_line(line, {})
                good += 1
            except LabelLineError as error:
                good, bad = (good + 1, bad) if str(error) == NOT_FRACTIONS else (good, bad + 1)
    return good > bad


@dataclass
class _YoloSource:
    """A source with YOLO labels. splits: split → the paths of its images, sorted. exif: see `image_size`."""

    catalog: Catalog
    config: YoloConfig
    labels: _LabelFiles
    splits: dict[str, list[str]]
    exif: str

    def layout(self) -> Layout:
        """Return the layout."""
        splits = {}
        for split, images in self.splits.items():
            if split == "validation" and self._validates_on_training_images:
                continue
            folder = common_folder([parent(image) for image in images])
            name = self.catalog.tree.show(self.labels.find(images[0]) or "").rpartition("/")[0] or "the YOLO labels"
            read = partial(self._entries, split, folder)
            splits[split] = AnnotatedImages(self.catalog.tree, folder, name, read, _SUFFIXES)
        file = self.config.file if self.config.names else "no names of classes: they are named by their numbers"
        return Layout(f"YOLO labels ({file})", splits)

    @property
    def _validates_on_training_images(self) -> bool:
        return "train" in self.splits and self.splits["train"] == self.splits.get("validation")

    @cached_property
    def names(self) -> dict[int, str]:
        """The names of the classes: their numbers, where nothing names them."""
        if self.config.names:
            return self.config.names
        numbers = set()
        for images in self.splits.values():
            for image in images:
                label = self.labels.find(image)
                for _, line in split_lines(read_text(self.catalog.tree, label)) if label else ():
                    try:
                        numbers.add(parse_line(line, {}, self.config.keypoints).class_number)
                    except LabelLineError:
                        continue
        return {number: str(number) for number in sorted(numbers)}

    def _entries(self, split: str, folder: str) -> Entries:
        findings = self._findings_of_config() if split == next(iter(self.splits)) else Findings()
        categories = {number + 1: name for number, name in self.names.items()}
        ids: dict[str | int, int] = {number: number + 1 for number in self.names}
        read = (self._read(image, folder, findings) for image in self.splits[split])
        return to_entries(enumerate(read, 1), categories, ids, findings)

    def _findings_of_config(self) -> Findings:
        """Return what is odd in the configuration file."""
        findings, file = Findings(), self.config.file
        if missing := self.config.missing:
            message = f"folders or lists are named in {file}, but are not there"
            findings.suspect("split-not-found", message, count=len(missing), example=missing[0])
        if self._validates_on_training_images:
            findings.suspect(
                "same-images-for-validation", f"images are named for training and validation in {file}",
                count=len(self.splits["train"]), advice="they are used for training",
            )  # fmt: skip
        count = self.config.class_count
        if count is not None and count != len(self.names):
            message = f"names of classes are in {file}, where 'nc' is {count}"
            findings.suspect("other-number-of-classes", message, count=len(self.names))
        return findings

    def _read(self, path: str, folder: str, findings: Findings) -> LabelledImage:
        """Return an image with its objects. An image that cannot be read has none: its boxes have no size."""
        tree = self.catalog.tree
        size = image_size(tree, path, self.exif) if self.catalog.has(path) else None
        image = LabelledImage(path.removeprefix(f"{folder}/"), *(size or (None, None)))
        label = self.labels.find(path)
        if label is None:
            findings.suspect("no-label-file", "images have no label file: they count as images without boxes",
                             example=path)  # fmt: skip
            return image
        shown = tree.show(label)
        seen: set[str] = set()
        for number, line in split_lines(read_text(tree, label)):
            place = f"{shown}, line {number}"
            if line.strip() in seen:
                findings.mended("repeated-label-line", "label lines stood twice in their file and were left out once",
                                example=place)  # fmt: skip
                continue
            seen.add(line.strip())
            self._add(image, line, place, findings)
        return image

    def _add(self, image: LabelledImage, line: str, place: str, findings: Findings) -> None:
        try:
            label = parse_line(line, self.config.names, self.config.keypoints)
        except LabelLineError as error:
            image.fault(str(error), place)
            return
        if label.has_confidence:
            findings.suspect("confidence-column", "label lines end with a confidence: they may be predictions",
                             example=place)  # fmt: skip
        if image.width and image.height:
            x, y, width, height = label.box
            box = (x * image.width, y * image.height, width * image.width, height * image.height)
            image.add(label.class_number, box, place)
