"""Finds COCO annotation files in a source and the images of each, by the names of files and folders and by content."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from data_prep.detection.annotations import json_entries
from data_prep.detection.coco_files import KEYPOINTS, Look, OtherJsonError, look_into
from data_prep.detection.layout import AnnotatedImages, Layout
from data_prep.detection.split_folders import split_by_folders
from data_prep.files.file_names import FileFinder
from data_prep.files.tree import FolderTree, Tree, ZipTree
from data_prep.split_names import SPLITS, split_of
from mnasnet_cli.errors import DataError

FLAGS = {"train": "train", "validation": "val", "test": "test"}  # of --train-images, --val-annotations, …
ROBOFLOW = "_annotations.coco"
MAX_DEPTH = 5  # folders below SOURCE
MAX_JSON = 40  # JSON files of a folder that are looked into: a folder with more has one for each image
MAX_PLACES = 300  # folders that are tried for the images of an annotation file
MAX_SEARCHED = 30  # of these, those that are searched for files whose names do not fit as they are
_ZIP_NAMES = re.compile(r"(annotation|instance|image|label)", re.IGNORECASE)
_OTHER_TASKS = re.compile(r"(captions|panoptic|stuff|person_keypoints|keypoints|image_info)(_|$)", re.IGNORECASE)
_IMAGE_FOLDERS = ("images", "image", "imgs", "img", "jpegimages", "data", "photos", "pictures")
_YEAR = re.compile(r"(?:19|20)\d\d")


class Place(NamedTuple):
    """A folder of a tree. names: of the folders from SOURCE to it; a zip counts as a folder."""

    tree: Tree
    folder: str
    names: tuple[str, ...]

    def show(self) -> str:
        """Return the path within SOURCE, for messages."""
        return "/".join(self.names) or "SOURCE"


@dataclass
class AnnotationJson:
    """A JSON file that may hold annotations. look: None if it is another JSON file, for the `reason`.

    split: after its name, or else after its folders, None if they name none.
    """

    place: Place
    name: str
    look: Look | None = None
    reason: str = ""
    split: str | None = field(init=False)

    def __post_init__(self) -> None:
        self.split = _split(self.stem, self.place.names)

    @property
    def path(self) -> str:
        """The name in its tree."""
        return f"{self.place.folder}/{self.name}" if self.place.folder else self.name

    @property
    def stem(self) -> str:
        """The name without ".json"."""
        return PurePosixPath(self.name).stem

    def show(self) -> str:
        """Return the path within SOURCE, for messages."""
        return "/".join((*self.place.names, self.name))

    def rank(self) -> tuple[int, int, bool]:
        """Return a key that is lowest for the file to take, if several are for one split."""
        if self.stem.lower().startswith("instances"):
            task = 0
        else:
            task = 2 if _OTHER_TASKS.match(self.stem) or (self.look and self.look.task == KEYPOINTS) else 1
        year = _YEAR.search(self.stem)
        return task, -int(year[0]) if year else 0, self.place.tree.archive == "zip"

    def is_of_other_task(self) -> bool:
        """Tell whether COCO gives this name to a file without boxes."""
        return _OTHER_TASKS.match(self.stem) is not None

    def images(self, place: Place) -> AnnotatedImages:
        """Return its annotations for the images in a folder."""
        tree = self.place.tree
        return AnnotatedImages(
            place.tree, place.folder, tree.show(self.path), partial(json_entries, partial(tree.open, self.path))
        )


def _split(stem: str, folders: Iterable[str]) -> str | None:
    """Return the split that the name of a file says, or else its folders from the last to the first."""
    words = {split for word in re.split(r"[^A-Za-z0-9]+", stem) if (split := split_of(word))}
    if words:
        return words.pop() if len(words) == 1 else None
    return next((split for name in reversed(list(folders)) if (split := split_of(name))), None)


@dataclass
class Survey:
    """The folders of a source, and its JSON files. places: sorted by depth and name."""

    places: list[Place] = field(default_factory=list)
    files: list[AnnotationJson] = field(default_factory=list)


def survey(tree: Tree) -> Survey:
    """List the folders of a source, and look into its JSON files. The zips in a folder count as folders."""
    result = Survey()
    roots = [Place(tree, "", ())]
    if isinstance(tree, FolderTree):
        for name in tree.file_names():
            stem, _, suffix = name.rpartition(".")
            if suffix.lower() == "zip" and (split_of(stem) or _ZIP_NAMES.match(stem)):
                roots.append(Place(ZipTree(tree.path / name), "", (name,)))
    for root in roots:
        for place in _walk(root):
            result.places.append(place)
            result.files += map(look_at, _json_files(place))
    result.places.sort(key=lambda place: (len(place.names), place.names))
    return result


def _walk(root: Place) -> Iterator[Place]:
    yield root
    if len(root.names) < MAX_DEPTH:
        for name in root.tree.folders(root.folder):
            folder = f"{root.folder}/{name}" if root.folder else name
            yield from _walk(Place(root.tree, folder, (*root.names, name)))


def _json_files(place: Place) -> list[AnnotationJson]:
    """Return the JSON files of a folder, the largest ones if there are many."""
    names = [name for name in place.tree.file_names(place.folder) if name.lower().endswith(".json")]
    if len(names) > MAX_JSON:
        sizes = {file.name: file.size for file in place.tree.files(place.folder)}
        names = sorted(sorted(names, key=lambda name: -sizes[name])[:MAX_JSON])
    return [AnnotationJson(place, name) for name in names]


def look_at(file: AnnotationJson) -> AnnotationJson:
    """Look into a JSON file, and return it."""
    try:
        file.look = look_into(partial(file.place.tree.open, file.path))
    except OtherJsonError as error:
        file.reason = str(error)
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error):
        file.look = Look()  # reading it again says what is wrong
    return file


def choose(files: Iterable[AnnotationJson], split: str) -> AnnotationJson | None:
    """Return the annotation file for a split, None if there is none. Raises DataError if several are equally good."""
    ranked = sorted(files, key=lambda file: (file.rank(), file.show()))
    best = [file for file in ranked if file.rank() == ranked[0].rank()]
    if len(best) > 1:
        flag = FLAGS[split]
        raise DataError(
            f"{len(best)} annotation files could be for {split}: {', '.join(file.show() for file in best[:4])}"
            f"{', …' if len(best) > 4 else ''}; name one with --{flag}-annotations, or give its folder as SOURCE"
        )
    return best[0] if best else None


def find_images(file: AnnotationJson, places: Iterable[Place], split: str | None) -> Place | None:
    """Return the folder in which most of the images of an annotation file are, None if none of them is anywhere.

    Folders named after the split are preferred, then those with all file names as they are, then the nearest.
    """
    names = file.look.file_names if file.look else []
    candidates = [place for place in places if not (split and _other_splits(place, split))]
    candidates = sorted(candidates, key=lambda place: _distance(file, place))[:MAX_PLACES]
    named = [place for place in candidates if split and any(split_of(name) == split for name in _stems(place))]
    for group, least in ((named, len(names) // 2), (candidates, 0)):
        best, found = _best(group, names, split)
        if best and found > least:
            return best
    return named[0] if named else None


def _best(places: list[Place], names: list[str], split: str | None) -> tuple[Place | None, int]:
    """Return the first of the folders with the most files for some names, and their number."""
    best, found, exact = None, 0, 0
    for place in places:
        finder = FileFinder(place.tree, place.folder)
        if (fit := sum(finder.find_exactly(name) is not None for name in names)) > exact:
            best, found, exact = place, fit, fit
    if found < len(names):
        for place in places[:MAX_SEARCHED]:
            finder = FileFinder(place.tree, place.folder, names_other_split(split))
            if (fit := sum(one.entry is not None for one in finder.find_all(names))) > found:
                best, found = place, fit
    return best, found


def _stems(place: Place) -> list[str]:
    return [name[:-4] if name.lower().endswith(".zip") else name for name in place.names]


def _other_splits(place: Place, split: str) -> bool:
    """Tell whether a folder is named after another split."""
    found = {split_of(name) for name in _stems(place)} - {None}
    return bool(found) and split not in found


def _distance(file: AnnotationJson, place: Place) -> tuple[bool, ...] | tuple[object, ...]:
    """Return a key that is low for folders that probably hold the images of an annotation file."""
    stems = _stems(place)
    last = stems[-1].lower() if stems else ""
    has_same_name = bool(stems) and file.stem.lower().removeprefix("instances_") == last
    shared = 0
    for one, other in zip(file.place.names, place.names, strict=False):
        if one != other:
            break
        shared += 1
    steps = len(file.place.names) + len(place.names) - 2 * shared
    return not has_same_name, place != file.place, last not in _IMAGE_FOLDERS, steps, len(stems), stems


def names_other_split(split: str | None) -> Callable[[str], bool]:
    """Return a function that tells whether a folder is named after another split than this one, if this is one."""
    return lambda name: split is not None and split_of(name) not in (None, split)


def recognise(tree: Tree) -> Layout | None:
    """Return the layout of a source with COCO annotation files, None if it has none. Raises DataError if unclear."""
    return layout_of(survey(tree))


def layout_of(found: Survey, fixed: Mapping[str, tuple[AnnotationJson, Place]] | None = None) -> Layout | None:
    """Return the layout of a surveyed source.

    fixed: split → the annotation file and the folder of its images, where flags name them.
    """
    fixed = fixed or {}
    files = {**_choose_files(found, fixed), **{split: file for split, (file, _) in fixed.items()}}
    places: dict[str, Place] = {}
    absent = []
    for split in (split for split in SPLITS if split in files):
        place = fixed[split][1] if split in fixed else find_images(files[split], found.places, files[split].split)
        if place:
            places[split] = place
        else:
            absent.append(split)
    if not places and absent:
        places[absent[0]] = files[absent[0]].place  # reading it says that all images are missing
    if not places:
        return None
    splits = {split: files[split].images(place) for split, place in places.items()}
    listed = [f"{split} in {files[split].show()}, images in {place.show()}" for split, place in places.items()]
    [first, *others] = places
    if not others and not fixed and files[first].split is None and (look := files[first].look):
        place = places[first]
        if by_folder := split_by_folders(splits[first], place.names, look.file_names):
            splits = by_folder
            listed = [f"{files[first].show()}, images in {place.show()}, {', '.join(splits)} by their folders"]
    unused = sorted(
        file.show()
        for file in found.files
        if file.look and not file.is_of_other_task() and not any(file is files[split] for split in places)
    )
    also = f"; not read: {', '.join(unused[:3])}{', …' if len(unused) > 3 else ''}" if unused else ""
    return Layout(f"{_kind(files.values())}: {'; '.join(listed)}{also}", splits)


def _choose_files(found: Survey, fixed: Mapping[str, object]) -> dict[str, AnnotationJson]:
    """Return the annotation files of the splits that are not fixed."""
    usable = [file for file in found.files if file.look]
    chosen: dict[str, AnnotationJson] = {}
    for split in (split for split in SPLITS if split not in fixed):
        if file := choose([file for file in usable if file.split == split], split):
            chosen[split] = file
    if not chosen and not fixed and (file := choose([file for file in usable if file.split is None], "train")):
        chosen["train"] = file
    for split in SPLITS:  # files that are meant as annotations: reading them says what is wrong
        damaged = [file for file in found.files if not file.look and file.split == split and _is_meant(file, chosen)]
        if damaged and split not in chosen and split not in fixed:
            chosen[split] = min(damaged, key=lambda file: (file.rank(), file.show()))
    return chosen


def _is_meant(file: AnnotationJson, chosen: Mapping[str, AnnotationJson]) -> bool:
    """Tell whether a JSON file that is no annotation file is probably meant as one."""
    named = file.stem.lower().startswith("instances") or file.stem == ROBOFLOW
    return named or (bool(chosen) and not file.is_of_other_task() and _has_siblings(file, chosen))


def _has_siblings(file: AnnotationJson, chosen: Mapping[str, AnnotationJson]) -> bool:
    return any(other.place == file.place for other in chosen.values())


def _kind(files: Iterable[AnnotationJson]) -> str:
    stems = {file.stem for file in files}
    if ROBOFLOW in stems:
        return "COCO annotations from Roboflow"
    return "COCO annotations"


def places_within(path: Path) -> list[Place]:
    """Return a folder or zip and the folders in it."""
    tree: Tree = FolderTree(path) if path.is_dir() else ZipTree(path)
    return list(_walk(Place(tree, "", (path.name,))))
