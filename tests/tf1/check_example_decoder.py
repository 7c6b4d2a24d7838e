"""Reads our COCO records with the Object Detection API's own decoder, under TensorFlow 1.15 on Python 3.7.

    python tests/tf1/check_example_decoder.py

Needs and makes what ``check_nets_factory.py`` does; writes records of generated images, and what they must hold as
JSON, and runs ``example_decoder_probe.py`` on both. Without Python 3.7 it says so and ends with 0.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from check_nets_factory import CACHE, NO_PYTHON, fetch_slim, find_python, make_environment  # noqa: E402

from data_prep.coco import CocoOptions, prepare_coco  # noqa: E402
from data_prep.shapes import write_shapes_coco  # noqa: E402


def write_records(folder: Path) -> None:
    """Writes ``folder/records``, and ``folder/expected.json``: image id → size and boxes, from the annotation file."""
    write_shapes_coco(folder / "images", train=40, val=1, size=96)
    prepare_coco(folder / "images", folder / "records", CocoOptions(train_shards=2, val_shards=1, workers=1))
    content = json.loads((folder / "images/annotations/instances_train2017.json").read_text())
    numbers = {category["id"]: number for number, category in enumerate(content["categories"], 1)}
    expected: dict[int, dict[str, Any]] = {
        image["id"]: {**image, "boxes": [], "classes": [], "crowds": [], "areas": []} for image in content["images"]
    }
    for one in content["annotations"]:
        image = expected[one["image_id"]]
        left, top, wide, high = one["bbox"]
        height, width = image["height"], image["width"]
        image["boxes"].append([top / height, left / width, (top + high) / height, (left + wide) / width])
        image["classes"].append(numbers[one["category_id"]])
        image["crowds"].append(bool(one["iscrowd"]))
        image["areas"].append(one["area"])
    (folder / "expected.json").write_text(json.dumps(expected))


def main() -> int:
    """Runs the check; returns the exit code."""
    python = find_python()
    if python is None:
        print(NO_PYTHON)
        return 0
    try:
        environment = make_environment(python)
        slim = fetch_slim(environment)
    except subprocess.CalledProcessError as error:
        print(f"cannot set up TensorFlow 1.15: {error}; it needs a package index (see pip's message above)")
        return 2
    (package,) = CACHE.glob("download/*/object_detection")
    variables = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(package.parent), str(slim)]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    probe = Path(__file__).with_name("example_decoder_probe.py")
    with tempfile.TemporaryDirectory() as folder:
        write_records(Path(folder))
        command = [str(environment), "-W", "ignore", str(probe), folder]
        return subprocess.run(command, env=variables).returncode


if __name__ == "__main__":
    sys.exit(main())
