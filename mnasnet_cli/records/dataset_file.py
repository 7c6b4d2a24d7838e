"""The content of dataset.json, the summary of a record folder that preparation writes; and its reader."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Required

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from mnasnet_cli.records.findings import Severity
from mnasnet_cli.records.shards import DATASET_FILE
from mnasnet_cli.system.documents import read_json

REMEDY = "write the records again"

_OTHER_KEYS = ConfigDict(extra="allow")  # of later versions, and those that only preparation reads
Count = Annotated[int, Field(ge=0)]


class Range(TypedDict):
    """The smallest, the mean and the largest of some numbers."""

    min: int | float
    mean: int | float
    max: int | float


@with_config(_OTHER_KEYS)
class ImageSizes(TypedDict, total=False):
    """Of all images: sides in px, the mean number of bytes, and images by number of channels."""

    width: Range
    height: Range
    mean_bytes: Count
    channels: dict[str, Count]


@with_config(_OTHER_KEYS)
class Objects(TypedDict):
    """The boxes of a split."""

    boxes: Count
    crowds: Count
    small: Count
    medium: Count
    large: Count
    images_without_boxes: Count
    boxes_per_image: Range


@with_config(_OTHER_KEYS)
class StoredSplit(TypedDict, total=False):
    """A split. per_class: synset → images, or category id → boxes."""

    examples: Required[Count]
    shard_examples: Required[list[Count]]
    per_class: Required[dict[str, Count]]
    shards: Count
    bytes: Count
    bad: Count
    shard_digests: list[str]
    objects: Objects


@with_config(_OTHER_KEYS)
class Category(TypedDict):
    """A category of a detection set."""

    id: int
    name: str


@with_config(ConfigDict(extra="ignore"))
class StoredFinding(TypedDict, total=False):
    """See `records.findings.Finding`."""

    severity: Required[Severity]
    code: Required[str]
    message: Required[str]
    split: str
    count: Count
    example: str
    advice: str


@with_config(_OTHER_KEYS)
class StoredDataset(TypedDict, total=False):
    """dataset.json; docs/reference/records.md describes the keys."""

    kind: Required[Literal["imagenet", "coco"]]
    classes: Required[Count]
    splits: Required[dict[str, StoredSplit]]
    fingerprint: Required[str]
    categories: list[Category]
    image_sizes: ImageSizes
    bad_files: list[dict[str, str]]
    images_in_both_splits: Count
    findings: list[StoredFinding]
    reencoded: Count
    plan: dict[str, Any]


def read_dataset_file(directory: Path) -> StoredDataset:
    """Return the dataset.json of a record folder. Raises Missing or Unreadable."""
    return read_json(directory / DATASET_FILE, StoredDataset, REMEDY)
