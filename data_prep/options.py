"""The options of `mnasnet prepare-imagenet` and `mnasnet prepare-coco`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mnasnet_cli.errors import ConfigError

SHARD_OPTIONS = {"train": "train_shards", "validation": "val_shards", "test": "test_shards"}


@dataclass(frozen=True)
class Options:
    """Options for all kinds of sources; the defaults are those of ImageNet.

    train_shards, val_shards, test_shards: None if they follow from the size; then most_shards is the largest number by
    split. val_fraction: the share of the images that becomes the
    validation split where the source has none; None: a tenth. part: (number of this part from 1, number of parts).
    workers: number of processes, 0 for one per core. max_side: longest side in px; larger images are scaled down.
    labels: file with the labels of images that are not in class folders. label_columns: its columns (file, label), by
    name or number from 1. verify: decode every image completely. exif: "upright" or "ignore". strict: refuse what would
    be mended.
    """

    most_shards: ClassVar[Mapping[str, int]] = {"train": 1024, "validation": 128, "test": 128}

    train_shards: int | None = None
    val_shards: int | None = None
    test_shards: int | None = None
    val_fraction: float | None = None
    workers: int = 0
    part: tuple[int, int] = (1, 1)
    resume: bool = False
    max_side: int | None = None
    labels: Path | None = None
    label_columns: tuple[str, str] | None = None
    on_bad_image: str = "fail"
    seed: int = 0
    verify: bool = False
    exif: str = "upright"
    strict: bool = False

    def __post_init__(self) -> None:
        limits = dict.fromkeys(SHARD_OPTIONS.values(), 99_999) | {"max_side": 65_500}
        for name, limit in limits.items():
            value = getattr(self, name)
            if value is not None and not 1 <= value <= limit:
                raise ConfigError(f"--{name.replace('_', '-')} must be 1..{limit}, not {value}")
        if self.val_fraction is not None and not 0 <= self.val_fraction < 1:
            raise ConfigError(f"--val-fraction must be from 0 to below 1, not {self.val_fraction:g}")
        if self.exif not in ("upright", "ignore"):
            raise ConfigError(f"--exif must be upright or ignore, not {self.exif}")
        if self.workers < 0:
            raise ConfigError(f"--workers must be at least 0, not {self.workers}")
        if not 1 <= self.part[0] <= self.part[1]:
            raise ConfigError(f"--part I/N must be between 1/N and N/N, not {self.part[0]}/{self.part[1]}")
        _check_policy("on_bad_image", self.on_bad_image)


@dataclass(frozen=True)
class CocoOptions(Options):
    """Options for COCO sources.

    train_images, val_images, test_images: folders or zips. train_annotations, val_annotations, test_annotations: JSON
    files within the source, its folder `annotations` or its annotation zip. Both may also be paths from the working
    directory. None: they are found by their names. crowd_as_objects: take crowds for single objects.
    """

    most_shards: ClassVar[Mapping[str, int]] = {"train": 100, "validation": 10, "test": 10}

    train_images: Path | None = None
    val_images: Path | None = None
    test_images: Path | None = None
    train_annotations: Path | None = None
    val_annotations: Path | None = None
    test_annotations: Path | None = None
    on_bad_annotation: str = "fail"
    crowd_as_objects: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_policy("on_bad_annotation", self.on_bad_annotation)


def _check_policy(name: str, value: str) -> None:
    if value not in ("fail", "skip"):
        raise ConfigError(f"--{name.replace('_', '-')} must be fail or skip, not {value}")
