"""The outlines of the generated shapes, drawn as masks."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

Point = tuple[float, float]
CANVAS = 192  # side of the mask that the unit square is drawn on


def _polygon(corners: int, inner: float = 1.0) -> Callable[[ImageDraw.ImageDraw], None]:
    """A regular polygon in the unit circle; `inner` < 1 pulls every other corner inwards (a star)."""

    def draw(mask: ImageDraw.ImageDraw) -> None:
        count = corners * 2 if inner < 1 else corners
        radius = [inner if inner < 1 and index % 2 else 1.0 for index in range(count)]
        _fill(mask, [_polar(radius[index], 2 * math.pi * index / count) for index in range(count)])

    return draw


def _circle(mask: ImageDraw.ImageDraw) -> None:
    _fill(mask, [_polar(1, 2 * math.pi * index / 48) for index in range(48)])


def _ring(mask: ImageDraw.ImageDraw) -> None:
    _circle(mask)
    _fill(mask, [_polar(0.55, 2 * math.pi * index / 48) for index in range(48)], 0)


def _cross(mask: ImageDraw.ImageDraw) -> None:
    a, b = 0.98, 0.3
    _fill(mask, [(-a, -b), (a, -b), (a, b), (-a, b)])
    _fill(mask, [(-b, -a), (b, -a), (b, a), (-b, a)])


def _stripes(mask: ImageDraw.ImageDraw) -> None:
    for left in (-0.9, -0.3, 0.3):
        _fill(mask, [(left, -0.9), (left + 0.32, -0.9), (left + 0.32, 0.9), (left, 0.9)])


def _crescent(mask: ImageDraw.ImageDraw) -> None:
    _circle(mask)
    _fill(mask, [(0.5 + 0.8 * x, 0.8 * y) for x, y in (_polar(1, 2 * math.pi * i / 48) for i in range(48))], 0)


def _arrow(mask: ImageDraw.ImageDraw) -> None:
    _fill(mask, [(-1, -0.25), (0.1, -0.25), (0.1, -0.8), (1, 0), (0.1, 0.8), (0.1, 0.25), (-1, 0.25)])


# name → synset-like id; the ids sort in this order, so class i is SHAPES[i - 1].
SHAPES: dict[str, Callable[[ImageDraw.ImageDraw], None]] = {
    "circle": _circle,
    "square": _polygon(4),
    "triangle": _polygon(3),
    "cross": _cross,
    "ring": _ring,
    "stripes": _stripes,
    "star": _polygon(5, inner=0.42),
    "crescent": _crescent,
    "arrow": _arrow,
    "hexagon": _polygon(6),
}


def _polar(radius: float, angle: float) -> Point:
    return radius * math.cos(angle), radius * math.sin(angle)


def _fill(mask: ImageDraw.ImageDraw, points: Sequence[Point], value: int = 255) -> None:
    mask.polygon([((x + 1) * CANVAS / 2, (y + 1) * CANVAS / 2) for x, y in points], fill=value)


NAMES = tuple(SHAPES)


@dataclass(frozen=True)
class SceneObject:
    """A shape in a scene: class 1..len(SHAPES), and its tight box (ymin, xmin, ymax, xmax) in pixels."""

    label: int
    box_yxyx: tuple[float, float, float, float]


def synset(label: int) -> str:
    """Return the folder name of class `label` (1-based), in ImageNet's form."""
    return f"n{90_000_000 + label:08d}"


def _background(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A colour gradient, coarse blotches and fine noise: float32 [height, width, 3] in 0..255."""
    corners = rng.uniform(40, 215, (2, 2, 3)).astype(np.uint8)
    gradient = np.asarray(Image.fromarray(corners).resize((width, height), Image.Resampling.BILINEAR), np.float32)
    cells = int(rng.integers(4, 12))
    coarse = (rng.uniform(0, 255, (cells, cells, 3))).astype(np.uint8)
    blotches = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), np.float32)
    return gradient + 0.35 * (blotches - 128) + rng.normal(0, 8, (height, width, 1)).astype(np.float32)


def _mask(rng: np.random.Generator, name: str, side: int) -> np.ndarray:
    """Coverage of a shape turned at random, cropped to its extent: float32 [h, w] in 0..1, longest side `side` px."""
    image = Image.new("L", (CANVAS, CANVAS), 0)
    SHAPES[name](ImageDraw.Draw(image))
    image = image.rotate(float(rng.uniform(-25, 25)), Image.Resampling.BILINEAR, expand=True)
    image = image.crop(image.getbbox())
    scale = side / max(image.size)
    image = image.resize(
        (max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.BOX
    )
    return np.asarray(image, np.float32) / 255


def _paint(rng: np.random.Generator, canvas: np.ndarray, mask: np.ndarray, top: int, left: int) -> None:
    """Blend a colour that stands out from what is below into `canvas` [H, W, 3]."""
    height, width = mask.shape
    below = canvas[top : top + height, left : left + width]
    mean = below.mean(axis=(0, 1))
    colour = rng.uniform(0, 255, 3)
    while np.abs(colour - mean).max() < 90:
        colour = rng.uniform(0, 255, 3)
    texture = rng.normal(0, 10, (height, width, 1))
    below += mask[..., None] * (colour + texture - below)


def _finish(canvas: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))


def draw_shape(rng: np.random.Generator, label: int, size: int) -> Image.Image:
    """Draw one shape of class `label` (1-based) on a background: RGB, size×size."""
    canvas = _background(rng, size, size)
    mask = _mask(rng, NAMES[label - 1], int(size * rng.uniform(0.4, 0.85)))
    top, left = (int(rng.integers(0, size - side + 1)) for side in mask.shape)
    _paint(rng, canvas, mask, top, left)
    return _finish(canvas)


def draw_scene(
    rng: np.random.Generator, *, classes: int = 6, height: int = 256, width: int = 320, max_objects: int = 5
) -> tuple[Image.Image, list[SceneObject]]:
    """Draw 1..max_objects shapes that hardly overlap: an RGB image, and each shape with its tight box."""
    canvas = _background(rng, height, width)
    objects: list[SceneObject] = []
    for _ in range(int(rng.integers(1, max_objects + 1))):
        label = int(rng.integers(1, classes + 1))
        mask = _mask(rng, NAMES[label - 1], int(min(height, width) * rng.uniform(0.12, 0.5)))
        for _ in range(20):  # tries; a scene too full for this shape goes without it
            top = int(rng.integers(0, height - mask.shape[0] + 1))
            left = int(rng.integers(0, width - mask.shape[1] + 1))
            box = (float(top), float(left), float(top + mask.shape[0]), float(left + mask.shape[1]))
            if all(_overlap(box, other.box_yxyx) < 0.1 for other in objects):
                _paint(rng, canvas, mask, top, left)
                objects.append(SceneObject(label, box))
                break
    return _finish(canvas), objects


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Shared area over the smaller box's area."""
    inner = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    return inner / min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))


def write_shapes_imagenet(
    root: Path, *, classes: int = 6, train_per_class: int = 100, val_per_class: int = 20, size: int = 96, seed: int = 0
) -> None:
    """Write `root/train/<synset>/*.JPEG`, `root/val/<synset>/*.JPEG` and `root/synset_words.txt`.

    The same arguments give the same bytes; an image depends on (seed, split, class, number) only, so more images per
    class leave the first ones as they are. Raises ValueError where `classes` exceeds the number of shapes.
    """
    if not 1 <= classes <= len(NAMES):
        raise ValueError(f"classes must be 1..{len(NAMES)}, not {classes}")
    root = Path(root)
    for split_index, (split, count) in enumerate((("train", train_per_class), ("val", val_per_class))):
        for label in range(1, classes + 1):
            folder = root / split / synset(label)
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                rng = np.random.default_rng([seed, split_index, label, number])
                image = draw_shape(rng, label, size)
                image.save(folder / f"{synset(label)}_{number:05d}.JPEG", quality=92)
    words = "".join(f"{synset(label)} {NAMES[label - 1]}\n" for label in range(1, classes + 1))
    (root / "synset_words.txt").write_text(words)


EVERY_EMPTY, EVERY_CROWD = 10, 6  # one image in ten has no box, one in six a crowd


def write_shapes_coco(
    root: Path, *, train: int = 100, val: int = 20, size: int = 160, classes: int = 6, seed: int = 0
) -> None:
    """Write `root/{train,val}2017/*.jpg` and `root/annotations/instances_{train,val}2017.json`, as COCO lays them.

    The longer side has `size` px. Category ids have gaps (1, 4, 7, …), like COCO's. A crowd is a group of small shapes
    of one class under one box. The same arguments give the same bytes; an image depends on (seed, split, number) only.
    Raises ValueError where `classes` exceeds the number of shapes.
    """
    if not 1 <= classes <= len(NAMES):
        raise ValueError(f"classes must be 1..{len(NAMES)}, not {classes}")
    root = Path(root)
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    categories = [{"id": category_id(one), "name": NAMES[one - 1], "supercategory": "shape"}
                  for one in range(1, classes + 1)]  # fmt: skip
    for split_index, (split, count) in enumerate((("train2017", train), ("val2017", val))):
        (root / split).mkdir(exist_ok=True)
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for number in range(count):
            rng = np.random.default_rng([seed, split_index, number])
            image, objects, crowd = _coco_scene(rng, number, size, classes)
            one = 1_000_000 * split_index + number + 1
            images.append({"id": one, "file_name": f"{one:012d}.jpg", "width": image.width, "height": image.height})
            image.save(root / split / f"{one:012d}.jpg", quality=92)
            for place, found in enumerate(objects):
                top, left, bottom, right = found.box_yxyx
                annotations.append(
                    {"id": len(annotations) + 1, "image_id": one, "category_id": category_id(found.label),
                     "bbox": [left, top, right - left, bottom - top], "area": (bottom - top) * (right - left),
                     "iscrowd": int(crowd and place == len(objects) - 1)}
                )  # fmt: skip
        content = {"images": images, "annotations": annotations, "categories": categories}
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))


def category_id(label: int) -> int:
    """Return the category id of class `label` (1-based) in generated data sets."""
    return 3 * label - 2


def _coco_scene(
    rng: np.random.Generator, number: int, size: int, classes: int
) -> tuple[Image.Image, list[SceneObject], bool]:
    """Draw a scene, wide or tall: an image, its shapes, and whether the last one is a crowd."""
    short = max(1, round(size * rng.uniform(0.65, 0.95)))
    height, width = (short, size) if number % 3 else (size, short)
    if number % EVERY_EMPTY == EVERY_EMPTY - 1:
        return _finish(_background(rng, height, width)), [], False
    image, objects = draw_scene(rng, classes=classes, height=height, width=width)
    if number % EVERY_CROWD != 1:
        return image, objects, False
    canvas, label, side = np.asarray(image, np.float32).copy(), int(rng.integers(1, classes + 1)), max(2, short // 9)
    masks = [_mask(rng, NAMES[label - 1], side) for _ in range(9)]
    for _ in range(20):  # tries; a scene too full for a crowd goes without it
        top, left = (int(rng.integers(0, max(1, length - 3 * side - 3))) for length in (height, width))
        places = [(top + one // 3 * (side + 1), left + one % 3 * (side + 1)) for one in range(9)]
        ends = [
            (row + mask.shape[0], column + mask.shape[1]) for (row, column), mask in zip(places, masks, strict=True)
        ]
        box = (float(top), float(left), float(max(row for row, _ in ends)), float(max(column for _, column in ends)))
        if all(_overlap(box, other.box_yxyx) < 0.1 for other in objects):
            for mask, (row, column) in zip(masks, places, strict=True):
                _paint(rng, canvas, mask, row, column)
            return _finish(canvas), [*objects, SceneObject(label, box)], True
    return image, objects, False
