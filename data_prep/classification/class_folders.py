"""Lists folders of classes: each folder is a class, and everything below it is of that class."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from data_prep.classification.split_images import Batch, Counts, SplitImages, list_images
from data_prep.files.tree import Tree
from mnasnet_cli.errors import DataError
from mnasnet_cli.records.findings import Findings


def list_class_folders(
    tree: Tree, split: str, folder: str, classes: Mapping[str, Sequence[str]], counts: Counts, findings: Findings,
    *, may_be_empty: bool,
) -> SplitImages:  # fmt: skip
    """Return the images of class folders.

    Args:
        tree: the source.
        split: the split.
        folder: that holds the class folders, for messages.
        classes: class → its folders.
        counts: counts what is passed over.
        findings: gets the class folders without images, if they are allowed.
        may_be_empty: whether a class folder may be empty. If not, it is an error.
    """
    place = tree.place(folder)
    names = sorted(classes)
    for name in names:
        check_class_name(name, place.path)

    def images() -> Iterator[Batch]:
        for name in names:
            is_empty = True
            for inner in classes[name]:
                if files := list_images(tree, inner, counts):
                    is_empty = False
                    yield Batch(name, tree.place(inner), files)
            if is_empty and not may_be_empty:
                raise DataError(
                    f"class {name} has no images in {tree.show(classes[name][0])}; add some, or remove the folder"
                )
            if is_empty:
                findings.suspect(
                    "empty-class-folder", "class folders hold no image", split=split,
                    example=tree.show(classes[name][0]), advice="add some, or remove the folder",
                )  # fmt: skip

    return SplitImages(split, place, names, images, lambda name: f"class {name} is in {place.path}")


def check_class_name(name: str, place: str) -> None:
    """Raise DataError if labels.txt or a record cannot hold a class name."""
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(name).decode("utf-8", "backslashreplace")
        raise DataError(f"the name of class {shown} in {place} is not UTF-8; rename it") from None
    if len(name.splitlines()) > 1 or "\t" in name:
        raise DataError(f"the name of class {name!r} in {place} contains a tab or a line break; rename it")
