"""The error for a source without a layout that is known: what was found, what is expected, and what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence

from data_prep.classification.image_names import is_image, stem
from data_prep.classification.split_images import has_images
from data_prep.files.tree import Tree, join
from mnasnet_cli.errors import DataError

ARCHIVES = (".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z", ".rar", ".gz", ".zip")
UNREADABLE = (".xlsx", ".xls", ".ods", ".mat", ".parquet", ".pkl", ".npy", ".h5", ".db", ".sqlite")  # with labels
DETECTION = "mnasnet prepare-coco"
_BOX_FILES = re.compile(
    r".*coco.*\.json|instances_.*\.json|via_.*\.(json|csv)|result\.json|annotations\.(json|xml)|meta\.json|_annotations\.csv",
    re.IGNORECASE,
)
FOLDERS = 20  # that are looked at for annotations


def unknown_layout(tree: Tree, path: Sequence[str]) -> DataError:
    """Return the error for a source that no layout fits."""
    shown = tree.show("")
    if hint := detection_hint(tree, path):
        return DataError(f"{shown} {hint}")
    archives = sorted(file for folder in path for file in tree.names(folder)[1] if file.lower().endswith(ARCHIVES))
    if archives:
        return DataError(f"no images in {shown}, but {archives[0]}; unpack it first")
    expected = "expected train/<class>/*.jpg and val/<class>/*.jpg, or <class>/*.jpg, or images and a file with labels"
    if has_images(tree, ""):
        return DataError(f"{shown} has images, but neither class folders nor a file with labels: {expected}")
    folders, files = tree.names()
    content = ", ".join([*(f"{name}/" for name in sorted(folders)), *sorted(files)][:5]) or "nothing"
    return DataError(f"no images in {shown} (it holds {content}): {expected}")


def without_labels(tree: Tree, path: Sequence[str], error: DataError) -> DataError:
    """Return the error for images without labels: for those of a detector, and where a file of labels is unreadable."""
    if hint := detection_hint(tree, path):
        return DataError(f"{tree.show('')} {hint}")
    files = [join(folder, file) for folder in path for file in tree.names(folder)[1]]
    unreadable = sorted(file for file in files if file.lower().endswith(UNREADABLE))
    return DataError(f"{error} (perhaps {tree.show(unreadable[0])}, saved as CSV)") if unreadable else error


def detection_hint(tree: Tree, path: Sequence[str]) -> str:
    """Return what makes a source look like one for a detector, "" if nothing does."""
    base = path[-1]
    for folder in [*path, *(join(base, name) for name in tree.folders(base)[:FOLDERS])]:
        folders, files = tree.names(folder)
        names = {name.lower(): name for name in folders}
        if any(file.lower() in ("data.yaml", "data.yml") for file in files):
            return f"looks like boxes for a detector (data.yaml of YOLO); use {DETECTION}"
        if "annotations" in names and (kind := _annotations(tree, join(folder, names["annotations"]))):
            return f"looks like boxes for a detector ({names['annotations']}/*{kind}); use {DETECTION}"
        if "labels" in names and _has_text_files(tree, join(folder, names["labels"])):
            return f"looks like boxes for a detector ({names['labels']}/*.txt of YOLO); use {DETECTION}"
        if boxes := [file for file in files if _BOX_FILES.fullmatch(file)]:
            return f"looks like boxes for a detector ({boxes[0]}); use {DETECTION}"
        if beside := _boxes_beside_images(files):
            return f"looks like boxes for a detector ({beside} beside its image); use {DETECTION}"
    return ""


def _annotations(tree: Tree, folder: str) -> str:
    files = tree.names(folder)[1]
    return next((kind for kind in (".json", ".xml") if any(file.lower().endswith(kind) for file in files)), "")


def _boxes_beside_images(files: Sequence[str]) -> str:
    """Return a file of boxes if most images have one of the same name beside them, else ""."""
    images = {stem(file) for file in files if is_image(file)}
    others = [file for file in files if file.lower().endswith((".xml", ".txt", ".json"))]
    beside = [file for file in others if file.rpartition(".")[0] in images]
    return min(beside) if beside and 2 * len(beside) >= len(images) else ""


def _has_text_files(tree: Tree, folder: str) -> bool:
    folders, files = tree.names(folder)
    inner = [file for name in folders for file in tree.names(join(folder, name))[1]]
    return any(file.lower().endswith(".txt") for file in [*files, *inner])
