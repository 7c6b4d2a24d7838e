"""Lists folders of classes: each folder is a class, and everything below it is of that class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from data_prep.classification.flat_folders import report_contradicting_labels
from data_prep.classification.split_folders import are_parts, find_splits
from data_prep.classification.split_images import (
    Batch,
    SplitImages,
    check_class_name,
    class_like_folders,
    has_direct_images,
    has_images,
    list_images,
)
from data_prep.classification.view import Layout, View
from data_prep.files.tree import join
from mnasnet_cli.errors import DataError


def class_folders(view: View) -> Layout | None:
    """`<class>/*`: class folders without splits."""
    names = class_like_folders(view.tree, view.base)
    used = [name for name in names if has_images(view.tree, join(view.base, name))]
    if not used:
        return None
    _check_no_sets(view, used)
    copies = _copies(view, used)
    left_out = [f"{name}/ (no images)" for name in names if name not in used]
    left_out += [f"{name}/ (the other folders again)" for name in copies]
    folders = {name: [join(view.base, name)] for name in used if name not in copies}
    parts = _classes_in_parts(view, used)
    if parts:
        folders = parts
    else:
        _report_groups(view, [join(view.base, name) for name in used])
    found = list_class_folders(view, "train", view.base, folders, may_be_empty=False)
    _report_loose_images(view, view.base, "train")
    report_contradicting_labels(view.tree, view.base, view.path, view.findings)
    where = f" in {view.name(view.base)}" if view.base else ""
    parts_text = f", put together from {len(used):,} folders such as {used[0]}/" if parts else ""
    return Layout([found], f"class folders{where} without splits{parts_text}", left_out)


def _classes_in_parts(view: View, names: Sequence[str]) -> dict[str, list[str]]:
    """Return class → its folders in the numbered parts of a set, {} if there are no parts with class folders."""
    folders = [join(view.base, name) for name in names]
    if not are_parts(names) or any(has_direct_images(view.tree, folder) for folder in folders):
        return {}
    classes: dict[str, list[str]] = {}
    for folder in folders:
        for name in class_like_folders(view.tree, folder):
            classes.setdefault(name, []).append(join(folder, name))
    return classes


def _check_no_sets(view: View, names: Sequence[str]) -> None:
    """Raise DataError if what looks like a class folder is a whole set with splits."""
    for name in names:
        splits = find_splits(view.tree, join(view.base, name))
        if len(splits) > 1:
            raise DataError(
                f"{view.tree.show(view.base)} holds several sets: {name} has folders for {' and '.join(splits)}, but"
                f" others have none; name one set: mnasnet prepare-imagenet {view.tree.show(join(view.base, name))}"
            )


def _copies(view: View, names: Sequence[str]) -> list[str]:
    """Return the folders that hold the class folders beside them once more, as some published zips do."""
    copies = []
    for name in names:
        folder = join(view.base, name)
        inner = set(class_like_folders(view.tree, folder))
        if len(inner & set(names)) > 1 and not has_direct_images(view.tree, folder):
            copies.append(name)
    return copies


def split_of_class_folders(view: View, split: str, folder: str) -> SplitImages:
    """Return the images of the class folders of a split. Only those of the training split may not be empty."""
    names = class_like_folders(view.tree, folder)
    folders = {name: [join(folder, name)] for name in names}
    _report_loose_images(view, folder, split)
    _report_groups(view, [join(folder, name) for name in names])
    if split == "train":
        report_contradicting_labels(view.tree, folder, view.path, view.findings)
    return list_class_folders(view, split, folder, folders, may_be_empty=split != "train")


def _report_loose_images(view: View, folder: str, split: str) -> None:
    """Report images that lie beside class folders."""
    files = view.counts.images(view.tree.files(folder)) if has_direct_images(view.tree, folder) else []
    if files:
        view.findings.suspect(
            "image-without-class", "images lie beside the class folders and were left out", split=split,
            count=len(files), example=view.tree.show(join(folder, files[0].name)),
            advice="move them into class folders, or name a file with the labels: --labels FILE",
        )  # fmt: skip


def _report_groups(view: View, folders: Sequence[str]) -> None:
    """Report class folders that hold only folders, whose names differ: perhaps these are the classes."""
    seen: set[str] = set()
    for folder in folders:
        inner = class_like_folders(view.tree, folder)
        if len(inner) < 2 or seen & set(inner) or has_direct_images(view.tree, folder):
            return
        if any(character.isdigit() for name in inner for character in name):
            return
        seen |= set(inner)
    if len(folders) > 1:
        view.findings.suspect(
            "classes-of-classes", "class folders hold only folders", count=len(folders),
            example=f"{folders[0]}/ with {', '.join(class_like_folders(view.tree, folders[0])[:3])}",
            advice="if these are the classes, move them one level up",
        )  # fmt: skip


def list_class_folders(
    view: View, split: str, folder: str, classes: Mapping[str, Sequence[str]], *, may_be_empty: bool
) -> SplitImages:
    """Return the images of class folders.

    Args:
        view: the source.
        split: the split.
        folder: that holds the class folders, for messages.
        classes: class → its folders.
        may_be_empty: whether a class folder may be empty. If not, it is an error.
    """
    tree = view.tree
    place = tree.place(folder)
    names = sorted(classes)
    for name in names:
        check_class_name(name, place.path)

    def images() -> Iterator[Batch]:
        for name in names:
            is_empty = True
            for inner in classes[name]:
                if files := list_images(tree, inner, view.counts):
                    is_empty = False
                    yield Batch(name, tree.place(inner), files)
            if is_empty and not may_be_empty:
                raise DataError(
                    f"class {name} has no images in {tree.show(classes[name][0])}; add some, or remove the folder"
                )
            if is_empty:
                view.findings.suspect(
                    "empty-class-folder", "class folders hold no image", split=split,
                    example=tree.show(classes[name][0]), advice="add some, or remove the folder",
                )  # fmt: skip

    return SplitImages(split, place, names, images, lambda name: f"class {name} is in {place.path}")
