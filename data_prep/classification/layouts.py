"""The layouts in which people keep images with one class each. A new layout is one function in LAYOUTS."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from data_prep.classification.class_folders import check_class_name, list_class_folders
from data_prep.classification.flat_folders import (
    FlatFolder,
    FlatResult,
    NoLabels,
    label_flat_folders,
    report_contradicting_labels,
)
from data_prep.classification.label_matching import sort_classes
from data_prep.classification.label_search import has_metadata
from data_prep.classification.split_folders import (
    EXTRAS,
    GENERIC,
    are_parts,
    find_base,
    find_splits,
    inner_folder,
    only_folder_with_images,
)
from data_prep.classification.split_images import (
    Batch,
    Counts,
    SplitImages,
    class_like_folders,
    has_direct_images,
    has_images,
)
from data_prep.classification.unknown_layout import detection_hint, unknown_layout
from data_prep.files.archives import list_nested_tars
from data_prep.files.file_list import Place
from data_prep.files.tree import FolderTree, Tree, join, open_tree
from data_prep.files.zips_as_folders import with_zips
from data_prep.options import Options
from data_prep.split_names import SPLITS, split_of
from mnasnet_cli.errors import DataError
from mnasnet_cli.records.findings import Findings

TARS = {"train": "ILSVRC2012_img_train.tar", "validation": "ILSVRC2012_img_val.tar"}


@dataclass
class View:
    """A source, as the layouts look at it.

    tree: of the source. options: of the command. counts, findings: get what is passed over and what is odd.
    """

    tree: Tree
    options: Options
    counts: Counts = field(default_factory=Counts)
    findings: Findings = field(default_factory=Findings)

    @cached_property
    def path(self) -> list[str]:
        """The folders from the source to the one that holds the splits or the classes."""
        return find_base(self.tree)

    @property
    def base(self) -> str:
        """The folder that holds the splits or the classes."""
        return self.path[-1]

    @cached_property
    def splits(self) -> dict[str, str]:
        """Split → its folder, {} if there are no folders of splits."""
        return {split: join(self.base, name) for split, name in find_splits(self.tree, self.base).items()}

    def name(self, folder: str) -> str:
        """Return a folder's name from the source, for the layout line."""
        return f"{folder}/" if folder else "SOURCE"


@dataclass
class Layout:
    """What a source was taken for: its splits, and the line that says so. left_out: folders, with reasons."""

    splits: list[SplitImages]
    text: str
    left_out: list[str] = field(default_factory=list)


def open_source(path: Path) -> Tree:
    """Return the tree of a source. Its zips are folders if they are named after splits, or if nothing else has images.

    Raises DataError if there is no such folder or zip.
    """
    if not path.is_dir():
        if path.exists() and path.suffix.lower() != ".zip":
            raise DataError(f"{path} is not a folder or a zip; unpack it first")
        return open_tree(path)
    folder = FolderTree(path)
    if has_images(folder, ""):
        return with_zips(path, lambda name: split_of(name) is not None)
    return with_zips(path, lambda name: True)


def recognise(view: View) -> Layout:
    """Return the layout of a source. Raises DataError if it is none of LAYOUTS, or if something is missing in it."""
    try:
        for layout in LAYOUTS:
            found = layout(view)
            if found is not None:
                return found
    except NoLabels as error:
        hint = detection_hint(view.tree, view.path)
        raise (DataError(f"{view.tree.show('')} {hint}") if hint else error) from None
    raise unknown_layout(view.tree, view.path)


def ilsvrc_tars(view: View) -> Layout | None:
    """`ILSVRC2012_img_train.tar` and `ILSVRC2012_img_val.tar`; one of them may be a folder."""
    tars = {split: view.tree.path / name for split, name in TARS.items() if name in view.tree.names()[1]}
    folders = {split: name for split, name in find_splits(view.tree, "").items() if split in SPLITS[:2]}
    tars = {split: path for split, path in tars.items() if split not in folders}
    if not tars:
        return None
    splits = []
    train, val = tars.get("train"), tars.get("validation")
    if train:
        splits.append(_class_tars("train", train))
    elif "train" in folders:
        splits.append(_class_folders(view, "train", folders["train"]))
    classes = splits[0].classes if splits else []
    if val:
        flat = FlatFolder.of_tar("validation", val, view.counts)
        splits += label_flat_folders(view.tree, [flat], [""], view.options, view.findings, classes).splits
    elif "validation" in folders:
        splits.append(_class_folders(view, "validation", folders["validation"]))
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
    splits = [_class_folders(view, split, folder) for split, folder in folders.items() if split not in flat]
    text = []
    if splits:
        text.append(f"class folders in {_listed(view, [folders[one.split] for one in splits])}")
    labelled = FlatResult()
    if flat:
        labelled = _label(view, [(split, folders[split]) for split in flat], splits[0].classes if splits else [])
        named = [folders[one.split] for one in labelled.splits if one.split in folders]
        if named:
            text.append(f"images in {_listed(view, named)} with labels of {labelled.text}")
    left_out = [f"{view.name(one.folder)} (no labels)" for one in labelled.unlabelled]
    left_out += _other_folders(view, list(view.splits.values()))
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
        list_class_folders(view.tree, split, view.base, classes[split], view.counts, view.findings, may_be_empty=True)
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
    left_out = [] if is_deep else _other_folders(view, [folder])
    return Layout(found.splits, f"images in {view.name(folder)} with labels of {found.text}", left_out)


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
    found = list_class_folders(view.tree, "train", view.base, folders, view.counts, view.findings, may_be_empty=False)
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


def _class_folders(view: View, split: str, folder: str) -> SplitImages:
    """Return the images of the class folders of a split. Only those of the training split may not be empty."""
    names = class_like_folders(view.tree, folder)
    folders = {name: [join(folder, name)] for name in names}
    _report_loose_images(view, folder, split)
    _report_groups(view, [join(folder, name) for name in names])
    if split == "train":
        report_contradicting_labels(view.tree, folder, view.path, view.findings)
    return list_class_folders(
        view.tree, split, folder, folders, view.counts, view.findings, may_be_empty=split != "train"
    )


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


def _label(view: View, flats: Sequence[tuple[str, str]], classes: Sequence[str]) -> FlatResult:
    folders = [
        FlatFolder.of_tree(view.tree, split, folder, view.counts, deep=_is_deep(view, folder))
        for split, folder in flats
    ]
    above = [*view.path, *(view.splits[split] for split, _ in flats)]
    return label_flat_folders(
        view.tree, folders, above + _label_folders(view), view.options, view.findings, sort_classes(classes)
    )


def _label_folders(view: View) -> list[str]:
    """Return the folders beside the images in which label files may lie, such as "annotations"."""
    names = class_like_folders(view.tree, view.base)
    return [join(view.base, name) for name in names if EXTRAS.fullmatch(name)]


def _is_deep(view: View, folder: str) -> bool:
    """Tell whether the folders below a flat one belong to it: a label file explains them."""
    return view.options.labels is not None or has_metadata(view.tree, folder)


def _listed(view: View, folders: Sequence[str]) -> str:
    names = [view.name(folder) for folder in folders]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _other_folders(view: View, used: Sequence[str]) -> list[str]:
    """Return the folders with images that are not used."""
    folders = [join(view.base, name) for name in class_like_folders(view.tree, view.base)]
    return [f"{folder}/" for folder in folders if folder not in used and has_images(view.tree, folder)]


LAYOUTS: tuple[Callable[[View], Layout | None], ...] = (
    ilsvrc_tars,
    split_folders,
    classes_with_splits,
    flat_images,
    class_folders,
)
"""The layouts; the first that fits a source counts."""
