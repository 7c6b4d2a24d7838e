"""Small records of both kinds, ours and those of other programs, and files of them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from PIL import Image

from mnasnet_cli.records import keys
from mnasnet_cli.records.coco_example import encode_coco_example
from mnasnet_cli.records.imagenet_example import encode_imagenet_example
from mnasnet_cli.records.tfrecord import encode_example, frame_record

IMAGE = bytes(range(256)) * 3
IMAGENET_RECORD = encode_imagenet_example(
    IMAGE, label=300, synset="n01440764", text="tench, Tinca tinca", filename="a.JPEG", height=224, width=70_000,
    channels=1,
)  # fmt: skip
BOXES = [(0.25, 0.125, 0.5, 1.0), (0.0, 0.0, 1.0, 0.5)]  # exact in float32
OBJECTS: dict[str, Any] = {
    "boxes_yxyx": BOXES, "classes": [3, 1], "texts": ["dog", "cat"], "is_crowd": [False, True], "area": [12.5, 640.0],
}  # fmt: skip
NO_OBJECTS: dict[str, Any] = {"boxes_yxyx": [], "classes": [], "texts": [], "is_crowd": [], "area": []}


def jpeg(width: int, height: int, colour: str = "black") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(out, "JPEG")
    return out.getvalue()


def coco_record(image: bytes = IMAGE, **changes: Any) -> bytes:
    arguments = {"image_id": 1 << 40, "filename": "a.jpg", "height": 80, "width": 160, **OBJECTS, **changes}
    return encode_coco_example(image, **arguments)


def foreign_imagenet_record(label: int) -> bytes:
    """A record like those of TF-Slim's scripts."""
    return encode_example({keys.LABEL: label, keys.ENCODED: IMAGE, keys.FORMAT: b"jpeg"})


def foreign_coco_record(**more: Any) -> bytes:
    """A record of 32×16 px with boxes and texts only, like those of the Object Detection API's COCO script."""
    sides = {key: list(values) for key, values in zip(keys.BOX_SIDES, zip(*BOXES, strict=True), strict=True)}
    return encode_example({keys.ENCODED: jpeg(32, 16), **sides, keys.OBJECT_TEXT: [b"dog", b"cat"], **more})


def write(path: Path, *records: bytes) -> Path:
    """Write a TFRecord file."""
    path.write_bytes(b"".join(frame_record(data)[0] + data + frame_record(data)[1] for data in records))
    return path
