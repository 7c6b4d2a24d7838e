"""Cut the boxes of COCO photographs out, as a second classification set: one class folder for each category.

    python benchmarks/coco_crops.py coco_80 crops    # crops/train/<category>/*.jpg, crops/val/<category>/*.jpg

A crop is a square around the box, a quarter wider than its longer side, cut at the image's edge. Crowds and boxes whose
longer side is under 32 px are left out, and so are categories that have no crop in both splits.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from PIL import Image

SPLITS = {"train": "train2017", "val": "val2017"}
MARGIN = 1.25
SMALLEST_SIDE = 32


def crops_of(coco: Path, split: str) -> list[tuple[str, Path, tuple[int, int, int, int]]]:
    """Return category, image and window (left, top, right, bottom, in px) of each box in a split."""
    content = json.loads((coco / "annotations" / f"instances_{split}.json").read_text())
    names = {entry["id"]: entry["name"] for entry in content["categories"]}
    images = {entry["id"]: entry for entry in content["images"]}
    found = []
    for box in content["annotations"]:
        left, top, width, height = box["bbox"]
        if box.get("iscrowd") or max(width, height) < SMALLEST_SIDE:
            continue
        image = images[box["image_id"]]
        reach = MARGIN * max(width, height) / 2
        middle_x, middle_y = left + width / 2, top + height / 2
        window = (
            max(round(middle_x - reach), 0), max(round(middle_y - reach), 0),
            min(round(middle_x + reach), image["width"]), min(round(middle_y + reach), image["height"]),
        )  # fmt: skip
        found.append((names[box["category_id"]], coco / split / image["file_name"], window))
    return found


def main() -> None:
    """Write the crops of both splits and print how many there are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("coco", type=Path, help="folder with train2017, val2017 and annotations")
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    found = {name: crops_of(arguments.coco, split) for name, split in SPLITS.items()}
    shared = set.intersection(*({category for category, _, _ in crops} for crops in found.values()))
    for name, crops in found.items():
        kept = [crop for crop in crops if crop[0] in shared]
        for number, (category, path, window) in enumerate(kept):
            folder = arguments.out / name / category.replace(" ", "-")
            folder.mkdir(parents=True, exist_ok=True)
            with Image.open(path) as image:
                image.convert("RGB").crop(window).save(folder / f"{number:05d}.jpg", quality=95)
        print(f"{name}: {len(kept)} crops of {len(shared)} categories")


if __name__ == "__main__":
    main()
