"""What a reader of an annotation format gives: where the images are, and the annotations as COCO's entries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from data_prep.files.tree import Tree

Entries = Iterator[tuple[str, int, Any]]
"""As `json_stream.members` yields them: (key, number, entry) of COCO's lists images, annotations and categories.

Readers of other formats know more than an entry tells. They also yield the lists "faults" (of `Fault`: what was left
out, with its file and line) and "findings" (of `Finding`: what was mended or looks wrong).
"""


@dataclass(frozen=True)
class AnnotatedImages:
    """The images of one split and their annotations.

    tree, folder: the `file_name` of an image is relative to this folder of the tree. name: of the annotations, for
    messages. read: yields the annotations as COCO's entries, each time from the start. suffixes: of the annotations
    and of what belongs to them: beside the images, they are no surprise.
    """

    tree: Tree
    folder: str
    name: str
    read: Callable[[], Entries]
    suffixes: tuple[str, ...] = (".json",)


@dataclass(frozen=True)
class Layout:
    """A source, as it was recognised.

    description: what it was taken for, in one line, such as "YOLO labels (data.yaml)". splits: train, validation, test.
    """

    description: str
    splits: Mapping[str, AnnotatedImages]
