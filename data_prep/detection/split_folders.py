"""Splits an annotation file for all images by the folders in which the images are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, partial

from data_prep.detection.entry_values import Ids, text
from data_prep.detection.json_stream import START
from data_prep.detection.layout import AnnotatedImages, Entries
from data_prep.files.file_names import FileFinder
from data_prep.split_names import SPLITS, split_of


def split_by_folders(
    images: AnnotatedImages, folders: Sequence[str], sample: Sequence[str]
) -> dict[str, AnnotatedImages]:
    """Return the splits if images are in folders named after at least two splits, and none is elsewhere; else {}.

    Args:
        images: with annotations of all splits.
        folders: the names of the folders above their folder.
        sample: the names of some of the images.
    """
    found = FileFinder(images.tree, images.folder).find_all(sample)
    splits = {_split(folders, one.entry.name) for one in found if one.entry}
    if len(splits) < 2 or None in splits:
        return {}
    entries = _SplitEntries(images, folders)
    return {split: replace(images, read=partial(entries.read, split)) for split in SPLITS if split in splits}


def _split(folders: Sequence[str], path: str) -> str | None:
    """Return the split after which the last folder of an image is named, or the one above it and so on."""
    names = [*folders, *path.split("/")[:-1]]
    return next((split for name in reversed(names) if (split := split_of(name))), None)


class _SplitEntries:
    """The entries of an annotation file, split by split. An image that is in no folder of a split is in the first."""

    def __init__(self, images: AnnotatedImages, folders: Sequence[str]) -> None:
        self._images, self._folders = images, folders
        self._ids = Ids()

    def read(self, split: str) -> Entries:
        """Yield the entries of one split."""
        for key, number, value in self._images.read():
            if number == START or key == "categories" or split == self._split_of(key, value):
                yield key, number, value

    def _split_of(self, key: str, entry: object) -> str:
        image_id = (
            self._ids.read(entry.get("id" if key == "images" else "image_id")) if isinstance(entry, dict) else None
        )
        return self._splits.get(image_id, SPLITS[0])

    @cached_property
    def _splits(self) -> dict[int | None, str]:
        """Image id → split. Images with one id are all in the first split, where this is found."""
        entries = [entry for key, number, entry in self._images.read() if key == "images" and number != START]
        names = [text(entry, "file_name") or "" for entry in entries]
        found = FileFinder(self._images.tree, self._images.folder).find_all(names)
        splits: dict[int | None, str] = {}
        for entry, one in zip(entries, found, strict=True):
            image_id = self._ids.read(entry.get("id")) if isinstance(entry, dict) else None
            split = one.entry and _split(self._folders, one.entry.name)
            splits[image_id] = SPLITS[0] if image_id in splits else split or SPLITS[0]
        return splits
