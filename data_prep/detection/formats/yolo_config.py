"""What YOLO's label files leave open: the names of the classes, and the images of each split.

They are in a `data.yaml` (Ultralytics, Roboflow), in `obj.data` and `obj.names` (Darknet, CVAT), in `classes.txt`
(LabelImg) or in `notes.json` (Label Studio).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeGuard

from data_prep.detection.formats.labelled_images import clean_name
from data_prep.detection.formats.source_files import (
    Catalog,
    is_image,
    parent,
    split_of_path,
    suffix,
)
from data_prep.detection.formats.yolo_labels import Keypoints
from data_prep.files.reading import read_text
from data_prep.files.tree import FolderTree, join
from data_prep.split_names import split_of
from mnasnet_cli.errors import DataError
from mnasnet_cli.system.documents import Unreadable, parse_json, parse_yaml

_USUAL_YAML = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_NAME_FILES = ("classes.txt", "obj.names", "names.txt", "_darknet.labels", "predefined_classes.txt", "notes.json")
_OTHER_NAME_FILE = "labels.txt"


@dataclass
class YoloConfig:
    """The classes and splits of a source.

    file: the file that says it, "" if there is none. names: class number → name. splits: split → folders and lists of
    images, as the file has them. path: the folder in which they are, as the file has it.
    missing: those of training and validation that are not there.
    """

    file: str = ""
    names: dict[int, str] = field(default_factory=dict)
    splits: dict[str, list[str]] = field(default_factory=dict)
    path: str = ""
    keypoints: Keypoints | None = None
    class_count: int | None = None
    missing: list[str] = field(default_factory=list)


def find_config(catalog: Catalog) -> YoloConfig:
    """Return what a source says about its splits and perhaps its classes. Raises DataError if it is damaged."""
    yamls = catalog.files(lambda name: suffix(name) in (".yaml", ".yml"))
    usual = [name for name in yamls if name.rpartition("/")[2].lower() in _USUAL_YAML]
    for file in [*usual, *(name for name in yamls if name not in usual)]:
        config = _read_yaml(catalog, file)
        if config is not None:
            return config
    config = YoloConfig()
    for file in catalog.files(lambda name: suffix(name) == ".data"):
        config = _read_darknet(catalog, file)
    if not config.splits:
        config.splits = _lists_of_images(catalog)
    return config


def find_names(catalog: Catalog, config: YoloConfig) -> YoloConfig:
    """Return a configuration with the names of the classes, if a file beside the images or the labels names them.

    Raises DataError if two such files contradict each other.
    """
    if config.names:
        return config
    for wanted in (_is_name_file, _OTHER_NAME_FILE.__eq__):
        file, names = _names_in(catalog, catalog.files(wanted))
        if names:
            return replace(config, file=file, names=names)
    return _config_above(catalog) or config


def _config_above(catalog: Catalog) -> YoloConfig | None:
    """Return the names of the classes for a source that is a split of a larger one: in the data.yaml beside it."""
    path = Path(os.path.abspath(catalog.tree.path))
    if catalog.tree.archive or split_of(path.name) is None:
        return None
    beside = Catalog(FolderTree(path.parent), depth=0)
    for file in beside.files(lambda name: name.lower() in _USUAL_YAML):
        if config := _read_yaml(beside, file):
            return YoloConfig(f"../{file}", config.names, keypoints=config.keypoints)
    return None


def _read_yaml(catalog: Catalog, file: str) -> YoloConfig | None:
    """Return what a YAML file says, None if it is about something else."""
    import yaml

    try:  # all values are text: a class may be called "no"
        content = parse_yaml(read_text(catalog.tree, file), catalog.tree.show(file), yaml.BaseLoader)
    except Unreadable:
        if file.rpartition("/")[2].lower() not in _USUAL_YAML:
            return None
        raise
    if not isinstance(content, dict) or not ("names" in content or "nc" in content):
        return None
    splits: dict[str, list[str]] = {}
    for key, value in content.items():
        if (split := split_of(key)) and (places := [one for one in _as_list(value) if isinstance(one, str) and one]):
            splits.setdefault(split, []).extend(one for one in places if one not in ("null", "~"))
    count = content.get("nc")
    config = YoloConfig(file, {}, {split: places for split, places in splits.items() if places})
    config.path = content["path"] if isinstance(content.get("path"), str) else ""
    config.class_count = int(count) if is_class_number(count) else None
    config.keypoints = _keypoints(content.get("kpt_shape"))
    config.names = _names_of_yaml(catalog, file, content.get("names"))
    if not config.names and config.class_count:
        config.names = {number: str(number) for number in range(min(config.class_count, 100_000))}
    return config


def is_class_number(text: Any) -> TypeGuard[str]:
    """Tell whether a text is a number from 0 that a class or a count may have."""
    return isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) <= 6


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) and value else [value]


def _keypoints(shape: Any) -> Keypoints | None:
    if isinstance(shape, list) and len(shape) == 2 and all(map(is_class_number, shape)):
        return Keypoints(int(shape[0]), int(shape[1]))
    return None


def _names_of_yaml(catalog: Catalog, file: str, names: Any) -> dict[int, str]:
    """Return the names of a YAML file: a list, a mapping from numbers, or the path of a file with a name a line."""
    shown = catalog.tree.show(file)
    if isinstance(names, str) and names:
        return dict(enumerate(_lines_of_file(catalog, file, names)))
    listed = list(enumerate(names)) if isinstance(names, list) else []
    if isinstance(names, dict):
        if not all(map(is_class_number, names)):
            raise DataError(f"{shown}: the keys of 'names' must be class numbers from 0")
        listed = sorted((int(key), name) for key, name in names.items())
    if not all(isinstance(name, str) for _, name in listed):
        raise DataError(f"{shown}: 'names' must hold one name for each class")
    return {number: clean_name(name) for number, name in listed}


def _read_darknet(catalog: Catalog, file: str) -> YoloConfig:
    """Return what a `.data` file of Darknet says: lines such as "train = data/train.txt"."""
    config = YoloConfig(file)
    for line in read_text(catalog.tree, file).splitlines():
        key, _, value = (part.strip() for part in line.partition("="))
        if (split := split_of(key)) and value:
            config.splits[split] = [value]
        if key == "names" and value:
            config.names = dict(enumerate(_lines_of_file(catalog, file, value)))
    return config


def _lists_of_images(catalog: Catalog) -> dict[str, list[str]]:
    """Return the lists of images that stand beside each other: train.txt, val.txt, …"""
    for folder, names in catalog.names.items():
        lists = {split: name for name in names if suffix(name) == ".txt" and (split := split_of(name[:-4]))}
        if lists and all(_lists_images(catalog, join(folder, name)) for name in lists.values()):
            return {split: [join(folder, name)] for split, name in lists.items()}
    return {}


def _lists_images(catalog: Catalog, file: str) -> bool:
    first = next(iter(read_text(catalog.tree, file).split("\n", 1)), "").strip()
    return is_image(first) and len(first.split("\t")) == 1


def _is_name_file(name: str) -> bool:
    return name.lower() in _NAME_FILES or suffix(name) == ".names"


def _names_in(catalog: Catalog, files: list[str]) -> tuple[str, dict[int, str]]:
    """Return the file with the most names of classes, and the names; the others may hold the first ones of them."""
    best, longest = "", list[str]()
    for file in files:
        names = _names_of_notes(catalog, file) if suffix(file) == ".json" else _lines(catalog, file)
        common = min(len(names), len(longest))
        if names[:common] != longest[:common]:
            raise DataError(
                f"{catalog.tree.show(best)} and {catalog.tree.show(file)} name the classes differently;"
                " prepare their folders one by one, or write a data.yaml with the names that hold for both"
            )
        if len(names) > len(longest):
            best, longest = file, names
    return best, dict(enumerate(longest))


def _lines_of_file(catalog: Catalog, file: str, path: str) -> list[str]:
    """Return the lines of the file with the names that another file gives by its path on some machine."""
    last = path.replace("\\", "/").rpartition("/")[2]
    found = catalog.files(last.__eq__)
    if not found and last == path and "." not in last:
        return [clean_name(path)]  # the name of the only class
    if not found:
        raise DataError(
            f"{catalog.tree.show(file)}: 'names' is '{path}', but there is no file {last} in {catalog.tree.path}"
        )
    return _lines(catalog, found[0])


def _lines(catalog: Catalog, file: str) -> list[str]:
    return [clean_name(line) for line in read_text(catalog.tree, file).rstrip().splitlines()]


def _names_of_notes(catalog: Catalog, file: str) -> list[str]:
    try:
        content = parse_json(read_text(catalog.tree, file), file, foreign=True)
        return [clean_name(one["name"]) for one in sorted(content["categories"], key=lambda one: int(one["id"]))]
    except (DataError, ValueError, OverflowError, KeyError, TypeError, AttributeError):
        return []  # notes about something else


def resolve(catalog: Catalog, config: YoloConfig, place: str) -> str | None:
    """Return the folder or file of the source that `place` means, None if there is none.

    The place is relative to the folder of the configuration file or to its `path`, of which the last folder may lie
    beside the file. Or it is a path on another machine, whose first folders are dropped. It stays within its split.
    """
    own = parent(config.file)
    split = split_of_path(_normal(place))
    for wanted in _endings(place):
        for base in (f"{own}/{config.path}", f"{own}/{config.path.rstrip('/').rpartition('/')[2]}", own, ""):
            path = _normal(f"{base}/{wanted}")
            found = path if catalog.has(path) else catalog.folder(path)
            if found is not None and (wanted == place or split in (None, split_of_path(found))):
                return found
    return None


def _endings(place: str) -> Iterator[str]:
    """Yield a path, and what is left of it without its first folders."""
    parts = _normal(place).split("/")
    yield place
    yield from ("/".join(parts[start:]) for start in range(len(parts)))


def _normal(path: str) -> str:
    """Return a path without "." and ".."; what leads out of the source is dropped."""
    parts: list[str] = []
    for part in re.sub(r"^[A-Za-z]:", "", path.replace("\\", "/")).split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
