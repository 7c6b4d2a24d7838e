"""The layouts in which people keep images with one class each. A new layout is one function in LAYOUTS."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from data_prep.classification.class_folders import (
    class_folders,
    list_class_folders,
    split_of_class_folders,
)
from data_prep.classification.flat_folders import FlatFolder, FlatResult, NoLabels, label_flat_folders
from data_prep.classification.label_matching import sort_classes
from data_prep.classification.label_search import has_metadata
from data_prep.classification.split_folders import (
    EXTRAS,
    GENERIC,
    are_parts,
    find_splits,
    inner_folder,
    only_folder_with_images,
)
from data_prep.classification.split_images import (
    Batch,
    SplitImages,
    check_class_name,
    class_like_folders,
    has_direct_images,
    has_images,
)
from data_prep.classification.unknown_layout import unknown_layout, without_labels
from data_prep.classification.view import Layout, View
from data_prep.files.archives import list_nested_tars
from data_prep.files.file_list import Place
from data_prep.files.tree import join
from data_prep.split_names import SPLITS
from mnasnet_cli.errors import DataError

TARS = {"train": "ILSVRC2012_img_train.tar", "validation": "ILSVRC2012_img_val.tar"}
# "train.txt", "trainval.txt", "train_test_split.txt", "TrainImages.txt"
_LIST = re.compile(
    r"(?:.*[_-])?train(?:ing|val)?(?:[_-]?(?:\d+|test|split|list|files|images|set))*\.(?:txt|csv|json)",
    re.IGNORECASE,
)


def recognise(view: View) -> Layout:
    """Return the layout of a source. Raises DataError if it is none of LAYOUTS, or if something is missing in it."""
    try:
        for layout in LAYOUTS:
            found = layout(view)
            if found is not None:
                _report_unread_lists(view, found)
                return found
    except NoLabels as error:
        raise without_labels(view.tree, view.path, error) from None
    raise unknown_layout(view.tree, view.path)


def _report_unread_lists(view: View, layout: Layout) -> None:
    """Report lists of training images if all images are taken for training and no list was read."""
    if {one.split for one in layout.splits} != {"train"}:
        return
    lists = []
    for folder in view.path:
        beside = [join(folder, name) for name in class_like_folders(view.tree, folder) if EXTRAS.fullmatch(name)]
        for place in (folder, *beside):
            lists += [join(place, name) for name in sorted(view.tree.names(place)[1]) if _LIST.fullmatch(name)]
    unread = [name for name in lists if name.rpartition("/")[2] not in layout.text]
    if unread and len(unread) == len(lists):
        view.findings.suspect(
            "split-list-not-read", "files may list the splits of this set, and were not read", count=len(unread),
            example=view.tree.show(unread[0]),
            advice="to keep these splits, move the images into train/<class>/ and test/<class>/",
        )  # fmt: skip


def ilsvrc_tars(view: View) -> Layout | None:
    """`ILSVRC2012_img_train.tar` and `ILSVRC2012_img_val.tar`; one of them may be a folder."""
    tars = {split: view.tree.path / name for split, name in TARS.items() if name in view.tree.names()[1]}
    folders = {split: name for split, name in find_splits(view.tree, "").items() if split in SPLITS[:2]}
    tars = {split: path for split, path in tars.items() if split not in folders}
    if not tars:
        return None
    flat = _flat_splits(view, folders)
    splits = [_class_tars("train", tars["train"])] if "train" in tars else []
    splits += [split_of_class_folders(view, split, folder) for split, folder in folders.items() if split not in flat]
    flats = [_flat_folder(view, split, folders[split]) for split in flat]
    flats += [FlatFolder.of_tar("validation", tars["validation"], view.counts)] if "validation" in tars else []
    classes = splits[0].classes if splits else []
    if flats:
        splits += label_flat_folders(view.tree, flats, [""], view.options, view.findings, classes).splits
    return Layout(splits, f"ImageNet's archives: {' and '.join(path.name for path in tars.values())}")


def _class_tars(split: str, path: Path) -> SplitImages:
    """Return the images of a tar of tars, one for each class."""
    groups = list(list_nested_tars(path))
    for name, _ in groups:
        check_class_name(name, str(path))

    def images() -> Iterator[Batch]:
        for name, files in groups:
            if not files:
                raise DataError(f"class {name} has no images in {path / name}; add some, or remove it")
            yield Batch(name, Place(str(path / name), "tar", str(path)), sorted(files))

    place = Place(str(path), "tar", str(path))
    return SplitImages(split, place, [name for name, _ in groups], images, lambda name: f"class {name} is in {path}")


def split_folders(view: View) -> Layout | None:
    """`train/`, `val/` and `test/`, each with class folders, or flat with a label file or classes in the file names."""
    if not view.splits:
        return None
    folders = {split: inner_folder(view.tree, view.splits[split]) for split in SPLITS if split in view.splits}
    for split, folder in folders.items():
        if split == "train" and not has_images(view.tree, folder):
            raise DataError(
                f"no class folders in {view.tree.show(folder)}: expected {view.splits[split]}/<class>/*.jpg, or images"
                " with --labels FILE"
            )
    flat = _flat_splits(view, folders)
    if view.options.labels and not flat:
        flat = list(folders)
    splits = [split_of_class_folders(view, split, folder) for split, folder in folders.items() if split not in flat]
    text = []
    if splits:
        text.append(f"class folders in {view.name(*(folders[one.split] for one in splits))}")
    labelled = FlatResult()
    if flat:
        labelled = _label(view, [(split, folders[split]) for split in flat], splits[0].classes if splits else [])
        named = [folders[one.split] for one in labelled.splits if one.split in folders]
        if named:
            text.append(f"images in {view.name(*named)} with labels of {labelled.text}")
    left_out = [f"{view.name(one.folder)} (no labels)" for one in labelled.unlabelled]
    left_out += view.other_folders(list(view.splits.values()))
    return Layout(splits + labelled.splits, "; ".join(text), left_out)


def _flat_splits(view: View, folders: dict[str, str]) -> list[str]:
    """Return the splits whose images are not in class folders."""
    flat = []
    for split, folder in folders.items():
        has_folders = any(has_images(view.tree, join(folder, name)) for name in class_like_folders(view.tree, folder))
        direct_labels = view.options.labels and has_direct_images(view.tree, folder)
        if not has_folders or direct_labels or has_metadata(view.tree, folder):
            flat.append(split)
    return flat


def classes_with_splits(view: View) -> Layout | None:
    """`<class>/train/*` and `<class>/val/*`: the splits are in the class folders."""
    classes: dict[str, dict[str, list[str]]] = {}  # split → class → folders
    names = class_like_folders(view.tree, view.base)
    for name in names:
        folder = join(view.base, name)
        inner = find_splits(view.tree, folder)
        if has_direct_images(view.tree, folder) or len(inner) < 2:
            return None
        for split, found in inner.items():
            classes.setdefault(split, {})[name] = [join(folder, found)]
    if not classes:
        return None
    splits = [
        list_class_folders(view, split, view.base, classes[split], may_be_empty=True)
        for split in SPLITS if split in classes
    ]  # fmt: skip
    return Layout(splits, f"class folders in {view.name(view.base)} with folders of splits in each")


def flat_images(view: View) -> Layout | None:
    """Images that are not in class folders: a label file or their names have the classes."""
    folder = view.base
    inner = only_folder_with_images(view.tree, folder) if not has_direct_images(view.tree, folder) else None
    if inner is not None and has_direct_images(view.tree, inner):
        folder = inner
    is_deep = _is_deep(view, folder) or are_parts(class_like_folders(view.tree, folder))
    if not is_deep and not has_direct_images(view.tree, folder):
        return None
    holder = View(view.tree, view.options)  # what a failed attempt counts does not count
    flat = FlatFolder.of_tree(view.tree, "", folder, holder.counts, deep=is_deep)
    name = folder.rpartition("/")[2]
    may_be_class = bool(name) and not GENERIC.fullmatch(name)
    has_classes = any(has_images(view.tree, join(folder, one)) for one in class_like_folders(view.tree, folder))
    if not flat.images:
        return None
    try:
        found = label_flat_folders(
            view.tree, [flat], view.path + _label_folders(view), view.options, holder.findings, []
        )
    except NoLabels:
        if may_be_class or has_classes:
            return None
        raise
    view.counts.ignored += holder.counts.ignored
    view.findings = holder.findings
    left_out = [] if is_deep else view.other_folders([folder])
    return Layout(found.splits, f"images in {view.name(folder)} with labels of {found.text}", left_out)


def _label(view: View, flats: Sequence[tuple[str, str]], classes: Sequence[str]) -> FlatResult:
    """Label flat folders (split, folder)."""
    folders = [_flat_folder(view, split, folder) for split, folder in flats]
    above = [*view.path, *(view.splits[split] for split, _ in flats), *_label_folders(view)]
    return label_flat_folders(view.tree, folders, above, view.options, view.findings, sort_classes(classes))


def _flat_folder(view: View, split: str, folder: str) -> FlatFolder:
    return FlatFolder.of_tree(view.tree, split, folder, view.counts, deep=_is_deep(view, folder))


def _label_folders(view: View) -> list[str]:
    """Return the folders beside the images in which label files may lie, such as "annotations"."""
    names = class_like_folders(view.tree, view.base)
    return [join(view.base, name) for name in names if EXTRAS.fullmatch(name)]


def _is_deep(view: View, folder: str) -> bool:
    """Tell whether the folders below a flat one belong to it: a label file explains them."""
    return view.options.labels is not None or has_metadata(view.tree, folder)


LAYOUTS: tuple[Callable[[View], Layout | None], ...] = (
    ilsvrc_tars,
    split_folders,
    classes_with_splits,
    flat_images,
    class_folders,
)
"""The layouts; the first that fits a source counts."""
