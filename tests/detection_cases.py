"""Ground truth and detections for tests: noisy, with crowds, areas of all ranges, and images without boxes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

CATEGORY_IDS = (1, 2, 3, 5, 8, 13)  # with gaps, as COCO's


def noisy_case(images: int = 20, per_image: int = 30, seed: int = 0) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the content of an annotation file and of a results file."""
    rng = np.random.default_rng(seed)
    truth: dict[str, Any] = {
        "images": [{"id": 3 * i + 7, "file_name": f"{i}.jpg", "width": 400, "height": 300} for i in range(images)],
        "annotations": [],
        "categories": [{"id": identity, "name": f"class {identity}"} for identity in CATEGORY_IDS],
    }
    found = []
    for image in truth["images"][: max(1, images - 2)]:  # the last two have no annotations
        for _ in range(rng.integers(1, 8)):
            side = np.exp(rng.uniform(2, 5.2, 2))
            box = [*(rng.uniform(0, 250, 2)), *side]
            truth["annotations"].append(
                {
                    "id": len(truth["annotations"]) + 1,
                    "image_id": image["id"],
                    "category_id": int(rng.choice(CATEGORY_IDS[:-1])),  # the last class has no annotations
                    "bbox": [round(float(value), 2) for value in box],
                    "area": round(float(side.prod() * rng.uniform(0.5, 1)), 2),
                    "iscrowd": int(rng.random() < 0.1),
                }
            )
    for image in truth["images"]:
        own = [row for row in truth["annotations"] if row["image_id"] == image["id"]]
        for _ in range(per_image):
            row = own[rng.integers(len(own))] if own and rng.random() < 0.6 else None
            box = np.array(row["bbox"] if row else [*rng.uniform(0, 250, 2), *rng.uniform(5, 150, 2)])
            box += rng.normal(size=4) * 0.08 * np.tile(box[2:], 2)
            category = row["category_id"] if row and rng.random() < 0.9 else rng.choice(CATEGORY_IDS)
            score = float(np.round(rng.random(), 2))  # equal scores, too
            found.append({"image_id": image["id"], "category_id": int(category), "bbox": box.tolist(), "score": score})
    return truth, found


def as_results(truth: dict[str, Any], shift: int = 0) -> list[dict[str, Any]]:
    """Return ground truth as detections, with category ids changed by `shift`."""
    return [
        {"image_id": row["image_id"], "category_id": row["category_id"] + shift, "bbox": row["bbox"], "score": 0.9}
        for row in truth["annotations"]
        if not row.get("iscrowd")
    ]


def write(folder: Path, truth: Any, found: Any) -> tuple[Path, Path]:
    """Write both as JSON; return the paths as the command takes them, detections first."""
    paths = folder / "detections.json", folder / "annotations.json"
    for path, content in zip(paths, (found, truth), strict=True):
        path.write_text(json.dumps(content))
    return paths
