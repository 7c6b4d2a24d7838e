"""A source as the layouts look at it, and what they take it for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from data_prep.classification.split_folders import find_base, find_splits
from data_prep.classification.split_images import Counts, SplitImages, class_like_folders, has_images
from data_prep.files.tree import FolderTree, Tree, join, open_tree
from data_prep.files.zips_as_folders import with_zips
from data_prep.options import Options
from data_prep.split_names import split_of
from mnasnet_cli.errors import DataError
from mnasnet_cli.records.findings import Findings


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

    def name(self, *folders: str) -> str:
        """Return the names of folders from the source, for the layout line."""
        names = [f"{folder}/" if folder else "SOURCE" for folder in folders]
        return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)

    def other_folders(self, used: Sequence[str]) -> list[str]:
        """Return the folders in `base` that hold images and are not used, for the layout line."""
        folders = [join(self.base, name) for name in class_like_folders(self.tree, self.base)]
        return [f"{folder}/" for folder in folders if folder not in used and has_images(self.tree, folder)]


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
