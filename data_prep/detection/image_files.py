"""The image files of a split: those that its annotation file names."""

from __future__ import annotations

from array import array
from collections.abc import Callable

import numpy as np

from data_prep.detection.annotations import AnnotationFile, is_repeated
from data_prep.detection.formats.source_files import image_size
from data_prep.detection.layout import AnnotatedImages
from data_prep.files.archives import FileEntry
from data_prep.files.file_list import NO_FILE
from data_prep.files.file_names import MESSAGES, FileFinder, Found
from data_prep.files.tree import join
from data_prep.options import CocoOptions
from data_prep.split_names import SPLITS
from data_prep.writing.shard_job import BadImageError
from mnasnet_cli.records.findings import Findings

UNKNOWN_SIDE = 1 << 16  # px; of an image that cannot be read: the boxes are checked, but go into no record
FLAGS = dict(zip(SPLITS, ("train", "val", "test"), strict=True))
LISTED = 3  # missing images in a message


def find_images(
    file: AnnotationFile,
    images: AnnotatedImages,
    split: str,
    options: CocoOptions,
    findings: Findings,
    is_skipped: Callable[[str], bool],
) -> list[FileEntry]:
    """Return the files of the images of an annotation file, in its order, and mend what the files tell about it.

    An image that is listed under several ids is merged, and sizes that are missing are read from the files.

    Args:
        file: is changed.
        is_skipped: tells for the name of a folder whether it is not searched.

    Raises BadImageError if images are missing, unless --on-bad-image is skip.
    """  # fmt: skip
    found = FileFinder(images.tree, images.folder, is_skipped).find_all(file.image_names)
    for name, one in zip(file.image_names, found, strict=True):
        for change in one.changes:
            findings.mended(f"file-name-{change}", MESSAGES[change], example=name, split=split)
    _check_missing(file, images, found, split, options, findings)
    found = _merge_repeated(file, found, split, findings)
    _read_sizes(file, images, found, split, options, findings)
    return [one.entry or FileEntry(name, NO_FILE) for name, one in zip(file.image_names, found, strict=True)]


def _check_missing(
    file: AnnotationFile, images: AnnotatedImages, found: list[Found], split: str, options: CocoOptions,
    findings: Findings,
) -> None:  # fmt: skip
    """Raise BadImageError with the number of missing images, or add a finding."""
    missing = [name for name, one in zip(file.image_names, found, strict=True) if one.entry is None]
    if not missing:
        return
    examples = ", ".join(missing[:LISTED])
    if options.on_bad_image == "fail":
        verb = "is" if len(missing) == 1 else "are"
        raise BadImageError(
            f"{len(missing):,} of {len(found):,} {split} images {verb} missing in"
            f" {images.tree.show(images.folder)}, for example {examples}; add them, name their folder with"
            f" --{FLAGS[split]}-images, or leave them out with --on-bad-image skip"
        )
    findings.suspect(
        "missing-image", f"of {len(found):,} images are missing", split=split, count=len(missing), example=examples,
        advice=f"name their folder with --{FLAGS[split]}-images",
    )  # fmt: skip


def _merge_repeated(file: AnnotationFile, found: list[Found], split: str, findings: Findings) -> list[Found]:
    """Merge the images that have the same file under several ids. The lowest id gets the boxes of all."""
    ids: dict[str, list[int]] = {}  # file → numbers of images
    for number, one in enumerate(found):
        if one.entry is not None:
            ids.setdefault(one.entry.name, []).append(number)
    merged = {}  # image id → id of the image that it is merged with
    dropped = set()
    for numbers in (numbers for numbers in ids.values() if len(numbers) > 1):
        first, *others = sorted(numbers, key=file.image_ids.__getitem__)
        for other in others:
            if (file.widths[other], file.heights[other]) == (file.widths[first], file.heights[first]):
                merged[file.image_ids[other]] = file.image_ids[first]
                dropped.add(other)
    if not merged:
        return found
    findings.suspect(
        "image-listed-twice", "images were listed again under another id; their boxes were joined", split=split,
        count=len(merged), example=file.image_names[min(dropped)],
    )  # fmt: skip
    is_merged = np.isin(file.annotation_images, [*merged, *merged.values()])
    file.annotation_images = array("q", (merged.get(one, one) for one in file.annotation_images))
    file.keep_annotations(np.flatnonzero(~(is_merged & is_repeated(file.places()))))
    kept = [number for number in range(len(found)) if number not in dropped]
    file.keep_images(np.asarray(kept))
    return [found[number] for number in kept]


def _read_sizes(
    file: AnnotationFile, images: AnnotatedImages, found: list[Found], split: str, options: CocoOptions,
    findings: Findings,
) -> None:  # fmt: skip
    """Take the sizes that the annotation file does not have from the images."""
    for number, one in enumerate(found):
        if file.widths[number] and file.heights[number]:
            continue
        size = None
        if one.entry is not None and one.entry.size != NO_FILE:
            size = image_size(images.tree, join(images.folder, one.entry.name), exif=options.exif)
        if size:
            findings.mended(
                "image-size-missing", "images had no width and height; they were taken from the files", split=split,
                example=file.image_names[number],
            )  # fmt: skip
        file.widths[number], file.heights[number] = size or (UNKNOWN_SIDE, UNKNOWN_SIDE)
