"""The images of one split with their classes: what every layout comes down to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from data_prep.classification.image_names import SYSTEM_FILES, is_image
from data_prep.files.archives import FileEntry
from data_prep.files.file_list import NOT_REGULAR, Place
from data_prep.files.tree import Tree, join, walk
from mnasnet_cli.errors import DataError


class Batch(NamedTuple):
    """Images of one class in one place."""

    label: str
    place: Place
    files: Sequence[FileEntry]


@dataclass
class SplitImages:
    """The images of one split.

    split: "train", "validation" or "test". place: the folder or archive, for messages. classes: in order.
    images: yields all images, in the order of the records' list; it may be called once. where: returns for a class what
    names it, for messages.
    """

    split: str
    place: Place
    classes: list[str]
    images: Callable[[], Iterator[Batch]]
    where: Callable[[str], str]


@dataclass
class Counts:
    """What was passed over or put together while images were listed.

    ignored: files without the name of an image. in_subfolders: images that lie deeper than their class folder.
    """

    ignored: int = 0
    in_subfolders: int = 0

    def images(self, files: list[FileEntry]) -> list[FileEntry]:
        """Return the images among files, and count the others."""
        found = [file for file in files if is_image(file.name)]
        if len(found) < len(files):
            names = {file.name.lower() for file in files if not is_image(file.name)}
            self.ignored += len(files) - len(found) - len(names.intersection(SYSTEM_FILES))
        return found


def has_images(tree: Tree, folder: str) -> bool:
    """Tell whether an image lies in a folder or below it."""
    pending = [folder]
    while pending:
        name = pending.pop()
        folders, files = tree.names(name)
        if any(map(is_image, files)):
            return True
        pending += [join(name, inner) for inner in folders]
    return False


def has_direct_images(tree: Tree, folder: str) -> bool:
    """Tell whether an image lies directly in a folder."""
    return any(map(is_image, tree.names(folder)[1]))


def class_like_folders(tree: Tree, folder: str) -> list[str]:
    """Return the folders that may be classes. A folder with the name of an image is a mistake."""
    return [name for name in tree.folders(folder) if not is_image(name)]


def list_images(tree: Tree, folder: str, counts: Counts) -> list[FileEntry]:
    """Return the images in a folder and below it, sorted by name. Their names are relative to it."""
    images: list[FileEntry] = []
    start = len(folder) + 1 if folder else 0
    for name, (folders, files) in walk(tree, folder):
        below = name[start:]
        found = counts.images(files)
        for odd in [name for name in folders if is_image(name)]:
            folders.remove(odd)
            found.append(FileEntry(odd, NOT_REGULAR))  # reading it reports what is wrong
        if below:
            counts.in_subfolders += len(found)
            found = [file._replace(name=f"{below}/{file.name}") for file in found]
        images += found
    return sorted(images)


def check_class_name(name: str, place: str) -> None:
    """Raise DataError if labels.txt or a record cannot hold a class name."""
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(name).decode("utf-8", "backslashreplace")
        raise DataError(f"the name of class {shown} in {place} is not UTF-8; rename it") from None
    if len(name.splitlines()) > 1 or "\t" in name:
        raise DataError(f"the name of class {name!r} in {place} contains a tab or a line break; rename it")
