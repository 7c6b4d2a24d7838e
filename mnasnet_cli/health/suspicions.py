"""What looks wrong in the facts of a data set's images and classes. A healthy set has few findings or none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from mnasnet_cli.health.box_suspicions import suspect_boxes
from mnasnet_cli.health.collection import Collection
from mnasnet_cli.health.duplicates import Duplicates, count_images
from mnasnet_cli.health.facts import NO_LABEL, Facts
from mnasnet_cli.health.summary import CLASSIFICATION_SIZE, DETECTION_SIZES, image_sizes
from mnasnet_cli.records.findings import Findings
from mnasnet_cli.records.shards import SPLITS

FEW_IMAGES = 10  # a class with fewer training images is hardly learned
UNEVEN = {"imagenet": 100, "coco": 1_000}  # largest class / smallest class, in images; COCO itself has about 340
LONG = 5.0  # longer side / shorter side
LONG_SHARE = 0.01  # of the images
GRAY_SHARE = 0.1  # of the images, if not all are gray; ImageNet has 2 %
SMALL_SHARE = 0.5  # of the images, with sides under half of the training size
LISTED = 3  # names in one example
SINGULARS = {
    "images": "image", "pictures": "picture", "classes": "class", "boxes": "box", "are": "is", "have": "has",
    "lie": "lies", "reach": "reaches", "repeat": "repeats",
}  # fmt: skip

# What is odd in single records, most of it in those of other programs: code → (message, advice).
PROBLEMS = {
    "blank-image": ("images are blank", "remove them"),
    "no-image": ("images are damaged, or are no images", "write the records again"),
    "undecodable-image": (
        "images have a format that TensorFlow may not decode, such as CMYK or WebP",
        "write the records again with `mnasnet prepare-…`, which converts them",
    ),
    "turned-image": (
        "images lie on the side or are mirrored: the EXIF orientation is not 1, and training ignores it",
        "write the records again with `mnasnet prepare-…`, which turns images upright; boxes must be in the frame of"
        " the image as it is stored",
    ),
    "size-differs": (
        "images have another width and height than the record says", "write the records again; the boxes may not fit",
    ),
    "uneven-lists": ("images have lists of box sides and labels of different lengths", "write the records again"),
    "box-without-area": ("boxes have no area within the image, so training stops", "write the records again"),
    "boxes-overshoot": (
        "boxes reach beyond the image by more than 1 %",
        "check whether sizes were taken for corners, or px for fractions",
    ),
}  # fmt: skip


def find_suspicions(collection: Collection, duplicates: Duplicates) -> Findings:
    """Return what looks wrong in a data set."""
    findings = Findings()
    for split, part in collection.splits.items():
        _suspect_records(findings, collection, split, part.facts)
    _suspect_duplicates(findings, collection, duplicates)
    _suspect_classes(findings, collection)
    for split, part in collection.splits.items():
        if collection.has_boxes and len(part.facts):
            suspect_boxes(findings, collection, split, part.facts)
    _suspect_sizes(findings, collection)
    _suspect_gray(findings, collection)
    for finding in findings:
        finding.message = _agreeing(finding.message, finding.count)
    return findings


def _agreeing(message: str, count: int) -> str:
    """Return a message that begins with a plural, such as "images are", so that it follows the count."""
    noun, verb, *rest = message.split(" ")
    if count != 1 or noun not in SINGULARS:
        return message
    return " ".join([SINGULARS[noun], SINGULARS.get(verb, verb), *rest])


def _suspect_records(findings: Findings, collection: Collection, split: str, facts: Facts) -> None:
    for code, (message, advice) in PROBLEMS.items():
        if code in facts.problems:
            count, first = facts.problems[code]
            findings.suspect(
                code, message, example=collection.name(split, first), split=split, count=count, advice=advice
            )
    unknown = {
        label: count for label, count in Counter(facts.columns["label"]).items()
        if label != NO_LABEL and not 0 < label <= len(collection.keys)
    }  # fmt: skip
    if unknown:
        findings.suspect(
            "unknown-label", f"images have a label that is not in 1..{len(collection.keys)} (0 is the background)",
            example=str(next(iter(unknown))), split=split, count=sum(unknown.values()),
            advice="write the records again",
        )  # fmt: skip


def _suspect_duplicates(findings: Findings, collection: Collection, duplicates: Duplicates) -> None:
    splits = list(collection.splits)
    for place, second in enumerate(splits):
        for first in splits[:place]:
            if shared := duplicates.across_splits(first, second):
                findings.suspect(
                    "picture-in-two-splits",
                    f"images are in the {first} split as well; scores on them measure memorization",
                    example=collection.name(second, shared[0].first), split=second, count=count_images(shared),
                    advice="remove them from one of the splits",
                )  # fmt: skip
    if across := duplicates.across_classes():
        shown = {copies.label: copies for copies in reversed(across[0])}  # the first of each class
        names = [f"{collection.name(one.split, one.first)} ({collection.class_name(one.label)})"
                 for one in reversed(shown.values())]  # fmt: skip
        findings.suspect(
            "picture-in-two-classes", "pictures are in more than one class, so some labels are wrong",
            example=" and ".join(names[:LISTED]), count=len(across), advice="keep each picture in one class",
        )  # fmt: skip
    for split in splits:
        if repeated := duplicates.within(split):
            first, second = (collection.name(split, index) for index in (repeated[0].first, repeated[0].second))
            findings.suspect(
                "repeated-picture", "images repeat another image of the same split", split=split,
                example=f"{second}, a copy of {first}", count=count_images(repeated) - len(repeated),
                advice="remove the copies",
            )  # fmt: skip


def _suspect_classes(findings: Findings, collection: Collection) -> None:
    others = [split for split in collection.splits if split not in SPLITS]  # files whose names tell no split
    name = "train" if "train" in collection.splits else others[0] if len(others) == 1 else None
    train = collection.images_by_class(name) if name else None
    labels = range(1, len(collection.keys) + 1)
    counted = "images with a box" if collection.has_boxes else "images"
    if len(collection.keys) == 1:
        findings.suspect(
            "one-class", "class only", example=collection.class_name(1),
            advice="a classifier needs two" if not collection.has_boxes else "check that no class was lost",
        )  # fmt: skip
    if train is None:
        return
    without = [label for label in labels if not train[label]]
    _suspect_listed(
        findings, collection, "class-without-training-images", f"classes have no training {counted}", without,
        "add images, or remove the classes",
    )  # fmt: skip
    few = sorted((label for label in labels if 0 < train[label] < FEW_IMAGES), key=lambda label: train[label])
    _suspect_listed(
        findings, collection, "class-with-few-images", f"classes have under {FEW_IMAGES} training {counted}", few,
        "add images of them", train,
    )  # fmt: skip
    if "validation" in collection.splits:
        validation = collection.images_by_class("validation")
        unseen = [label for label in labels if train[label] and not validation[label]]
        _suspect_listed(
            findings, collection, "class-without-validation-images", f"classes have no validation {counted}", unseen,
            "their accuracy stays unknown",
        )  # fmt: skip
    largest, limit = max(train.values(), default=0), UNEVEN.get(collection.kind, 100)
    rare = sorted((label for label in labels if 0 < train[label] * limit < largest), key=lambda label: train[label])
    _suspect_listed(
        findings, collection, "uneven-classes", f"classes have under 1/{limit} of the {counted} of the largest class",
        rare, "add images of them, or leave them out", train,
    )  # fmt: skip


def _suspect_listed(
    findings: Findings, collection: Collection, code: str, message: str, labels: list[int], advice: str,
    counts: dict[int, int] | None = None,
) -> None:  # fmt: skip
    names = [collection.class_name(label) + (f" ({counts[label]:,})" if counts else "") for label in labels]
    findings.suspect(code, message, example=", ".join(names[:LISTED]), count=len(labels), advice=advice)


def _suspect_sizes(findings: Findings, collection: Collection) -> None:
    sizes = sum((image_sizes(part.facts) for part in collection.splits.values()), Counter())
    total = sizes.total()
    long = {size for size in sizes if all(size) and max(size) > LONG * min(size)}
    count = sum(sizes[size] for size in long)
    if count > LONG_SHARE * total:
        reason = "training makes them square" if collection.has_boxes else "training crops them"
        findings.suspect(
            "long-image", f"images have one side over {LONG:g} times as long as the other, and {reason}",
            example=_first_of_size(collection, long), count=count, advice="cut them into parts",
        )  # fmt: skip
    trained = DETECTION_SIZES[0] if collection.has_boxes else CLASSIFICATION_SIZE
    side: Callable[..., int] = max if collection.has_boxes else min
    small = {size for size in sizes if 0 < side(size) < trained / 2}
    count = sum(sizes[size] for size in small)
    if count > SMALL_SHARE * total:
        findings.suspect(
            "small-image", f"images have less than half of the {trained} px that training uses by default",
            example=_first_of_size(collection, small), count=count, advice="train with a smaller --image-size",
        )  # fmt: skip


def _first_of_size(collection: Collection, sizes: set[tuple[int, int]]) -> str:
    """Return the name of the first image whose (width, height) is one of these."""
    for split, part in collection.splits.items():
        columns = part.facts.columns
        for index, size in enumerate(zip(columns["width"], columns["height"], strict=True)):
            if size in sizes:
                return collection.name(split, index)
    return ""


def _suspect_gray(findings: Findings, collection: Collection) -> None:
    channels = sum((Counter(part.facts.columns["channels"]) for part in collection.splits.values()), Counter())
    gray, total = channels[1] + channels[2], channels.total()
    if GRAY_SHARE * total < gray < total:
        findings.suspect(
            "gray-images", f"images ({100 * gray / total:.0f} %) are gray, the others are coloured", count=gray,
            advice="check that colour does not tell the classes apart",
        )  # fmt: skip
