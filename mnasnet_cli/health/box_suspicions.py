"""What looks wrong in the boxes of a split."""

from __future__ import annotations

from mnasnet_cli.health.collection import Collection
from mnasnet_cli.health.facts import Facts
from mnasnet_cli.health.summary import DETECTION_SIZES, TINY, count_tiny
from mnasnet_cli.records.findings import Findings

MOST = 0.5  # of the boxes or images
EMPTY_SHARE = 0.3  # of the images
TINY_SHARE = 0.3  # of the boxes; COCO has about 6 % at 640 px
WHOLE = 0.99  # a box with larger shares of both sides covers the image


def suspect_boxes(findings: Findings, collection: Collection, split: str, facts: Facts) -> None:
    """Add what looks wrong in the boxes of a split with images."""
    columns = facts.columns
    total, images = len(columns["box_label"]), len(facts)
    empty = [index for index, count in enumerate(columns["boxes"]) if count <= 0]
    if not total:
        findings.suspect(
            "no-boxes", "images, and none of them has a box", split=split, count=images, advice="check the annotations"
        )
        return
    if len(empty) > EMPTY_SHARE * images:
        findings.suspect(
            "images-without-boxes", f"of {images:,} images have no box", example=collection.name(split, empty[0]),
            split=split, count=len(empty), advice="check that all objects are annotated",
        )  # fmt: skip
    crowds = sum(columns["box_crowd"])
    if crowds > MOST * total:
        findings.suspect(
            "only-crowds" if crowds == total else "most-boxes-are-crowds",
            f"of {total:,} boxes are crowds (iscrowd), which training leaves out", split=split, count=crowds,
            advice="if each is one object, prepare again with --crowd-as-objects",
        )  # fmt: skip
    unknown = [label for label in columns["box_label"] if not 0 < label <= len(collection.keys)]
    if unknown:
        findings.suspect(
            "unknown-label", f"boxes have a label that is not in 1..{len(collection.keys)}", example=str(unknown[0]),
            split=split, count=len(unknown), advice="write the records again",
        )  # fmt: skip
    _suspect_sizes(findings, collection, split, facts, total)


def _suspect_sizes(findings: Findings, collection: Collection, split: str, facts: Facts, total: int) -> None:
    columns = facts.columns
    whole, points = set(), 0
    sizes = zip(columns["width"], columns["height"], facts.box_ranges(), strict=True)
    for index, (width, height, (start, end)) in enumerate(sizes):
        for box in range(start, end):
            wide, high = columns["box_width"][box], columns["box_height"][box]
            points += wide * width <= 1.01 and high * height <= 1.01
            if wide > WHOLE and high > WHOLE:
                whole.add(index)
    if points == total:
        findings.suspect(
            "boxes-of-one-px", "boxes, and every one is at most 1 px wide and high", split=split, count=total,
            advice="perhaps they are fractions of the image; give them in px",
        )  # fmt: skip
    with_boxes = sum(count > 0 for count in columns["boxes"])
    if len(whole) > MOST * with_boxes:
        findings.suspect(
            "boxes-cover-images", f"of {with_boxes:,} images with boxes have one that covers the whole image",
            example=collection.name(split, min(whole)), split=split, count=len(whole),
            advice="check the boxes; for one object in each image, train a classifier",
        )  # fmt: skip
    size = DETECTION_SIZES[0]
    tiny = count_tiny(facts, size)
    if tiny > TINY_SHARE * total and points < total:
        findings.suspect(
            "tiny-boxes", f"boxes ({100 * tiny / total:.0f} %) are under {TINY} px wide or high when images are resized"
            f" to {size} px", split=split, count=tiny,
            advice="train with a larger --image-size, or cut the images into parts",
        )  # fmt: skip
