"""Finds the folder that holds a set, and the folders of its splits."""

from __future__ import annotations

import re
from collections.abc import Sequence

from data_prep.classification.split_images import class_like_folders, has_direct_images, has_images
from data_prep.files.tree import Tree, join
from data_prep.split_names import split_of
from mnasnet_cli.errors import DataError

LEVELS = 4  # of folders around a set: "dataset/dataset/Data/CLS-LOC"
PREFERRED = ("train", "val", "validation", "test")  # if a split has two folders
# A folder with such a name holds images of all kinds; it is not a class.
GENERIC = re.compile(
    r"(?:(?:all|jpe?g|png|raw|my)[_\- ]?)?"
    r"(?:images?|imgs?|pictures?|pics|photos?|data|dataset|jpe?gs?|pngs?|all|files)",
    re.IGNORECASE,
)

EXTRAS = re.compile(
    r"(?:.*[_\- ])?(?:annotations?|labels?|masks?|segmentation\w*|trimaps?|ground_?truth|gt|depth|bbox\w*|boxes|meta\w*"
    r"|csv|lists?|splits?|imagesets)",
    re.IGNORECASE,
)
"""What lies beside the images of a set and is not a class."""

_PARTIAL_TRAIN = re.compile(r"train(?:ing)?[_\- ]", re.IGNORECASE)  # "train_mini", beside "val"
_PART = re.compile(r"(.*(?:part|batch|fold|chunk|shard|volume|vol|disk|images?|imgs)s?[_\- ]?)\d+", re.IGNORECASE)


def find_base(tree: Tree) -> list[str]:
    """Return the folders that lead to the set, from the source to the folder that holds the splits or the classes.

    A folder is followed if only it holds images, and if it does not look like a class or a split.
    """
    path = [""]
    for _ in range(LEVELS):
        folder = path[-1]
        if has_direct_images(tree, folder) or find_splits(tree, folder):
            break
        inner = only_folder_with_images(tree, folder)
        if inner is None or (has_direct_images(tree, inner) and not class_like_folders(tree, inner)):
            break
        path.append(inner)
    return path


def only_folder_with_images(tree: Tree, folder: str) -> str | None:
    """Return the one folder in `folder` that holds images, None if there are none or several.

    Masks and annotations beside a folder such as "images" do not count.
    """
    names = class_like_folders(tree, folder)
    if any(map(GENERIC.fullmatch, names)):
        names = [name for name in names if not EXTRAS.fullmatch(name)]
    found = None
    for name in names:
        if has_images(tree, join(folder, name)):
            if found is not None:
                return None
            found = join(folder, name)
    return found


def find_splits(tree: Tree, folder: str) -> dict[str, str]:
    """Return split → name of its folder in `folder`, {} if there are no folders of splits.

    Names such as "seg_train" and "test1" count beside a folder for training, and "train_mini" beside another split.
    Raises DataError if two folders have equal claims to be a split.
    """
    names = class_like_folders(tree, folder)
    exact: dict[str, list[str]] = {}
    loose: dict[str, list[str]] = {}
    for name in names:
        if split := split_of(name):
            exact.setdefault(split, []).append(name)
        elif split := _loose_split_of(name):
            loose.setdefault(split, []).append(name)
    if "train" in exact or "train" in loose:
        exact = {split: found for split, found in loose.items() if len(found) == 1} | exact
    elif exact and len(partial := [name for name in names if _PARTIAL_TRAIN.match(name)]) == 1:
        exact = {"train": partial} | exact
    splits = {split: _choose(tree, folder, split, found) for split, found in exact.items()}
    return {} if _is_class_named_like_a_split(tree, folder, splits, names) else splits


def _loose_split_of(name: str) -> str | None:
    """Return the split of "seg_train", "dogs-train" and "test1"."""
    last = re.split(r"[_\- .]", name)[-1]
    return split_of(last) or (split_of(name.rstrip("0123456789")) if name[-1:].isdigit() else None)


def _choose(tree: Tree, folder: str, split: str, names: list[str]) -> str:
    names = [name for name in names if len(names) == 1 or has_images(tree, join(folder, name))] or names[:1]
    preferred = [name for name in PREFERRED if name in names]
    if len(names) > 1 and not preferred:
        raise DataError(
            f"two folders for {split} in {tree.show(folder)}: {names[0]} and {names[1]}; keep one, move the other away"
        )
    return (preferred or names)[0]


def _is_class_named_like_a_split(tree: Tree, folder: str, splits: dict[str, str], names: list[str]) -> bool:
    """Tell whether the only folder of a split is a class beside others: "train" beside "bus" and "tram"."""
    if len(splits) != 1:
        return False
    (name,) = splits.values()
    inner = join(folder, name)
    if not has_direct_images(tree, inner) or class_like_folders(tree, inner):
        return False
    others = [join(folder, other) for other in names if other != name]
    return any(has_direct_images(tree, other) for other in others)


def are_parts(names: Sequence[str]) -> bool:
    """Tell whether folders are numbered parts of one set: "images_part_1", "images_part_2"."""
    matches = [_PART.fullmatch(name) for name in names]
    return (
        len(names) > 1
        and len({match[1].lower() if match else name for name, match in zip(names, matches, strict=True)}) == 1
    )


def inner_folder(tree: Tree, folder: str) -> str:
    """Return the folder that holds the images or classes of a split: the split's own, or the only one in it.

    "train/images" and "seg_train/seg_train" are followed; "train/cat" is a class.
    """
    for _ in range(LEVELS):
        if has_direct_images(tree, folder):
            break
        inner = only_folder_with_images(tree, folder)
        if inner is None:
            break
        name, above = inner.rpartition("/")[2], folder.rpartition("/")[2]
        if not (GENERIC.fullmatch(name) or name == above or split_of(name)):
            break
        folder = inner
    return folder
