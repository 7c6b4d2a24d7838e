"""Looks for images and annotation files in a source, and reads them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath

from data_prep.files.reading import read_bytes
from data_prep.files.tree import DEEPEST, Tree, join
from data_prep.split_names import SPLITS, split_of
from mnasnet_cli.errors import DataError
from mnasnet_cli.records.image_files.header import BadImage
from mnasnet_cli.records.image_files.kinds import IMAGE_SUFFIXES
from mnasnet_cli.records.image_files.opening import load_image
from mnasnet_cli.records.orientation import UPRIGHT, image_orientation, upright_size

_START_BYTES = 1 << 16
_FEW = 50  # annotation files in a folder
_SAMPLE = 100  # names of images that are looked for
_USUAL_FOLDERS = frozenset(["images", "jpegimages", "image", "img", "labels"])


def is_image(name: str) -> bool:
    """Tell from its name whether a file is an image."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def suffix(name: str) -> str:
    """Return the suffix of a file's name, such as ".jpg", in lower case."""
    return PurePosixPath(name).suffix.lower()


def stem(name: str) -> str:
    """Return the name of a file without folders and suffix."""
    return PurePosixPath(name).stem


def parent(name: str) -> str:
    """Return the folder of a file or folder of a tree."""
    return name.rpartition("/")[0]


class Catalog:
    """The folders and file names of a tree, listed once.

    names: folder → the names of the files in it, sorted. depth: of the folders that are listed; 0 is the top alone.
    """

    def __init__(self, tree: Tree, depth: int = DEEPEST) -> None:
        self.tree = tree
        self.names: dict[str, list[str]] = {}
        self._folders: dict[str, list[str]] = {}
        self._name_sets: dict[str, frozenset[str]] = {}
        level = [""]
        for _ in range(depth + 1):  # the higher folders first
            for folder in level:
                folders, files = tree.names(folder)
                self.names[folder] = sorted(files)
                self._folders[folder] = [join(folder, name) for name in sorted(folders)]
            level = [below for folder in level for below in self._folders[folder]]

    def folders(self, folder: str = "") -> list[str]:
        """Return the paths of the folders directly in a folder."""
        return self._folders.get(folder, [])

    def has(self, path: str) -> bool:
        """Tell whether there is a folder or file with this path."""
        folder, _, name = path.rpartition("/")
        if folder not in self._name_sets:
            self._name_sets[folder] = frozenset(self.names.get(folder, ()))
        return path in self.names or name in self._name_sets[folder]

    def folder(self, path: str) -> str | None:
        """Return the folder with this path, or the only one whose path differs by case; None if there is none."""
        if path in self.names:
            return path
        similar = [folder for folder in self.names if folder.casefold() == path.casefold()]
        return similar[0] if len(similar) == 1 else None

    def images(self, folder: str) -> list[str]:
        """Return the names of the images directly in a folder, sorted."""
        return [name for name in self.names.get(folder, ()) if is_image(name)]

    def files(self, wanted: Callable[[str], bool]) -> list[str]:
        """Return the paths of all files whose names are wanted: the higher ones first."""
        return [join(folder, name) for folder, names in self.names.items() for name in names if wanted(name)]

    def few_files(self, wanted: Callable[[str], bool]) -> list[str]:
        """Return the same for files that hold many images: folders with a file for each image are left out."""
        return [
            join(folder, name)
            for folder, names in self.names.items()
            if len(found := list(filter(wanted, names))) <= _FEW
            for name in found
        ]

    def below(self, folder: str) -> list[str]:
        """Return a folder and all folders below it: the higher ones first."""
        start = f"{folder}/" if folder else ""
        return [name for name in self.names if name == folder or name.startswith(start)]

    def partner(
        self, folder: str, stems: set[str], is_partner: Callable[[str], bool], is_own: Callable[[str], bool]
    ) -> str | None:
        """Return the folder with the files that belong to the files in `folder`: labels to images, images to labels.

        Files belong together if their names agree but for the suffix. Looked at are `folder` itself, folders in it,
        and its relatives: to images/train, labels/train and labels; to train/images, train/labels; to train,
        labels/train.

        Args:
            folder: a folder.
            stems: of the files in `folder`.
            is_partner: tells from a name whether a file is one of those looked for.
            is_own: tells from a name whether a file is of the same kind as those in `folder`. A folder with such files
                belongs to others.
        """
        best, most = None, (0, False)
        for candidate in self._relatives(folder):
            names = self.names[candidate]
            if candidate != folder and any(map(is_own, names)):
                continue
            count = sum(is_partner(name) and stem(name) in stems for name in names)
            grade = count, candidate == folder or bool(_USUAL_FOLDERS.intersection(candidate.lower().split("/")))
            if count and grade > most:
                best, most = candidate, grade
        return best

    def image_folder(self, names: Sequence[str], near: str) -> str:
        """Return the folder to which the names of images in an annotation file are relative.

        near: the folder of the annotation file; it wins over others. The source itself if no folder holds them.
        """
        sample = names[:: max(1, len(names) // _SAMPLE)]
        best, most = "", 0
        for folder in [*self.below(near), *self.below(parent(near)), *self.names]:
            count = sum(self.has(join(folder, name.replace("\\", "/").removeprefix("./"))) for name in sample)
            if count > most:
                best, most = folder, count
        return best

    def _relatives(self, folder: str) -> Iterator[str]:
        """Yield the folder itself, the folders in it, and those that differ from it in one part of their path."""
        yield folder
        yield from self.folders(folder)
        parts = folder.split("/") if folder else []
        for place in reversed(range(len(parts))):
            above, part, rest = "/".join(parts[:place]), parts[place], parts[place + 1 :]
            for other in self.folders(above):
                name = other.rpartition("/")[2]
                if name == part or (split_of(part) and split_of(name)):
                    continue
                for below in dict.fromkeys(["/".join(rest), "/".join([part, *rest]), ""]):
                    if join(other, below) in self.names:
                        yield join(other, below)


def start_of(tree: Tree, name: str) -> str:
    """Return the first part of a text file. Raises DataError."""
    return read_bytes(tree, name, _START_BYTES).decode("utf-8-sig", "replace")


def image_size(tree: Tree, name: str, exif: str = "upright") -> tuple[int, int] | None:
    """Return (width, height) of an image, None if it cannot be read.

    exif: "upright" gives the size that a person sees: turned by the EXIF data. "ignore" gives that of the stored frame.
    """
    from PIL import Image

    try:
        with tree.open(name) as file, warnings.catch_warnings(action="ignore"), Image.open(file) as image:
            if image.format != "TIFF":  # Pillow turns it while it decodes it
                orientation = image_orientation(image) if exif == "upright" else UPRIGHT
                height, width = upright_size(image.height, image.width, orientation)
                return width, height
    except Exception:  # Pillow raises all kinds of errors for a damaged header; HEIC is not one of its formats
        pass
    try:
        stored = load_image(read_bytes(tree, name))
    except (BadImage, DataError):
        return None  # what is wrong with it is said when it is read again
    height, width = upright_size(stored.height, stored.width, stored.orientation if exif == "upright" else UPRIGHT)
    return width, height


def split_of_path(path: str) -> str | None:
    """Return the split after which a folder in a path is named: the last one that is."""
    found = [split for part in path.split("/") if (split := split_of(part))]
    return found[-1] if found else None


def split_of_file(path: str) -> str | None:
    """Return the split after which an annotation file or one of its folders is named: "train" for "via_train.json"."""
    words = re.split(r"[^A-Za-z0-9]+", stem(path))
    found = [split for word in words if (split := split_of(word))]
    return found[-1] if found else split_of_path(parent(path))


def in_order(splits: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the splits in their order: train, validation, test. Empty ones are left out."""
    return {split: splits[split] for split in SPLITS if splits.get(split)}


def common_folder(folders: list[str]) -> str:
    """Return the deepest folder that holds all folders."""
    first, last = min(folders).split("/"), max(folders).split("/")
    same = []
    for one, other in zip(first, last, strict=False):
        if one != other:
            break
        same.append(one)
    return "/".join(same)
