"""Small record folders whose health is examined."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mnasnet_cli.health.collection import Collection
from mnasnet_cli.health.duplicates import find_duplicates
from mnasnet_cli.health.scan import scan
from mnasnet_cli.health.suspicions import find_suspicions
from mnasnet_cli.records import keys
from mnasnet_cli.records.findings import Finding
from mnasnet_cli.records.tfrecord import encode_example, frame_record

Box = tuple[float, float, float, float]


def picture(
    seed: int, width: int = 240, height: int = 230, *, mode: str = "RGB", kind: str = "JPEG", orientation: int = 1
) -> bytes:
    """An encoded image of coarse noise; the seed decides its content."""
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    image.save(out, kind, **({"exif": exif} if orientation != 1 else {}))
    return out.getvalue()


def blank(width: int = 240, height: int = 230) -> bytes:
    """An encoded white image."""
    out = io.BytesIO()
    Image.new("RGB", (width, height), "white").save(out, "JPEG")
    return out.getvalue()


def labelled(image: bytes, label: int, **more: Any) -> bytes:
    """A record of an image with a class, as other programs write them."""
    return encode_example({keys.ENCODED: image, keys.LABEL: label, **more})


def boxed(image: bytes, boxes: Sequence[Box], labels: Sequence[int] | Sequence[bytes], **more: Any) -> bytes:
    """A record of an image with boxes (ymin, xmin, ymax, xmax in 0..1), and with labels or texts."""
    sides = zip(*boxes, strict=True) if boxes else [()] * 4
    named = keys.OBJECT_TEXT if labels and isinstance(labels[0], bytes) else keys.OBJECT_LABEL
    rows = {key: list(map(float, side)) for key, side in zip(keys.BOX_SIDES, sides, strict=True)}
    return encode_example({keys.ENCODED: image, **rows, named: list(labels), **more})


def write(folder: Path, split: str, *shards: Sequence[bytes]) -> None:
    """Write the shards of a split, each a list of records."""
    folder.mkdir(exist_ok=True)
    for index, records in enumerate(shards):
        framed = b"".join(b"".join((frame_record(data)[0], data, frame_record(data)[1])) for data in records)
        (folder / f"{split}-{index:05d}-of-{len(shards):05d}").write_bytes(framed)


def collect(folder: Path, **splits: Sequence[bytes]) -> Collection:
    """Write records, one shard a split, and return their facts."""
    for split, records in splits.items():
        write(folder, split, records)
    return scan(folder)


def suspicions(collection: Collection) -> dict[str, Finding]:
    """Return code, or code and split, → finding."""
    found = find_suspicions(collection, find_duplicates(collection))
    return {f"{one.code} {one.split}".strip(): one for one in found}
