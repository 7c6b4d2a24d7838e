"""Generates small data sets of coloured shapes, in the layouts of ImageNet and COCO, for demos and tests."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from mnasnet_cli.system.files import make_folder, write_atomically
from mnasnet_cli.system.pictures import encode

Point = tuple[float, float]
Draw = Callable[[ImageDraw.ImageDraw], None]

MASK_SIZE = 192  # px; side of the mask of a shape, before it is scaled
CIRCLE_CORNERS = 48
TRIES = 20  # random positions for a shape; if it overlaps others at all of them, it is left out
MAX_OVERLAP = 0.1  # of two shapes, as a share of the smaller box
EMPTY_PERIOD, CROWD_PERIOD = 10, 6  # one scene in ten is empty, one in six has a crowd


def _polygon(corners: int, inner: float = 1.0) -> Draw:
    """Return a function that draws a regular polygon, or a star whose inner corners have the radius `inner` < 1."""

    def draw(mask: ImageDraw.ImageDraw) -> None:
        count = corners * 2 if inner < 1 else corners
        radius = [inner if inner < 1 and index % 2 else 1.0 for index in range(count)]
        _fill(mask, [_polar(radius[index], 2 * math.pi * index / count) for index in range(count)])

    return draw


def _circle(mask: ImageDraw.ImageDraw) -> None:
    _fill(mask, _circle_points())


def _ring(mask: ImageDraw.ImageDraw) -> None:
    _circle(mask)
    _fill(mask, _circle_points(0.55), 0)


def _cross(mask: ImageDraw.ImageDraw) -> None:
    a, b = 0.98, 0.3
    _fill(mask, [(-a, -b), (a, -b), (a, b), (-a, b)])
    _fill(mask, [(-b, -a), (b, -a), (b, a), (-b, a)])


def _stripes(mask: ImageDraw.ImageDraw) -> None:
    for left in (-0.9, -0.3, 0.3):
        _fill(mask, [(left, -0.9), (left + 0.32, -0.9), (left + 0.32, 0.9), (left, 0.9)])


def _crescent(mask: ImageDraw.ImageDraw) -> None:
    _circle(mask)
    _fill(mask, [(0.5 + 0.8 * x, 0.8 * y) for x, y in _circle_points()], 0)


def _arrow(mask: ImageDraw.ImageDraw) -> None:
    _fill(mask, [(-1, -0.25), (0.1, -0.25), (0.1, -0.8), (1, 0), (0.1, 0.8), (0.1, 0.25), (-1, 0.25)])


SHAPES: dict[str, Draw] = {  # in the order of the classes: class i is the i-th
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
NAMES = tuple(SHAPES)


def _polar(radius: float, angle: float) -> Point:
    return radius * math.cos(angle), radius * math.sin(angle)


def _circle_points(radius: float = 1.0) -> list[Point]:
    return [_polar(radius, 2 * math.pi * index / CIRCLE_CORNERS) for index in range(CIRCLE_CORNERS)]


def _fill(mask: ImageDraw.ImageDraw, points: Sequence[Point], value: int = 255) -> None:
    """Fill a polygon; the coordinates of the points are in -1..1."""
    mask.polygon([((x + 1) * MASK_SIZE / 2, (y + 1) * MASK_SIZE / 2) for x, y in points], fill=value)


@dataclass(frozen=True)
class SceneObject:
    """A shape in a scene: its class 1..len(SHAPES), and its tight box (ymin, xmin, ymax, xmax) in px."""

    label: int
    box_yxyx: tuple[float, float, float, float]


def synset(label: int) -> str:
    """Return the folder name of class `label` (from 1), in the format of ImageNet's synsets."""
    return f"n{90_000_000 + label:08d}"


def category_id(label: int) -> int:
    """Return the category id of class `label` (from 1): 1, 4, 7, …, with gaps like COCO's."""
    return 3 * label - 2


def draw_background(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return a colour gradient with coarse patches and fine noise: float32 [height, width, 3], about 0..255."""
    corners = rng.uniform(40, 215, (2, 2, 3)).astype(np.uint8)
    gradient = np.asarray(Image.fromarray(corners).resize((width, height), Image.Resampling.BILINEAR), np.float32)
    cells = int(rng.integers(4, 12))
    coarse = (rng.uniform(0, 255, (cells, cells, 3))).astype(np.uint8)
    patches = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), np.float32)
    return gradient + 0.35 * (patches - 128) + rng.normal(0, 8, (height, width, 1)).astype(np.float32)


def _mask(rng: np.random.Generator, name: str, side: int) -> np.ndarray:
    """Return the mask of a randomly rotated shape, cropped to it: float32 [h, w] in 0..1, longest side `side` px."""
    image = Image.new("L", (MASK_SIZE, MASK_SIZE), 0)
    SHAPES[name](ImageDraw.Draw(image))
    image = image.rotate(float(rng.uniform(-25, 25)), Image.Resampling.BILINEAR, expand=True)
    image = image.crop(image.getbbox())
    scale = side / max(image.size)
    image = image.resize(
        (max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.BOX
    )
    return np.asarray(image, np.float32) / 255


def _paint(rng: np.random.Generator, canvas: np.ndarray, mask: np.ndarray, top: int, left: int) -> None:
    """Paint a shape into `canvas` [H, W, 3], in a colour that contrasts with the pixels there."""
    height, width = mask.shape
    below = canvas[top : top + height, left : left + width]
    mean = below.mean(axis=(0, 1))
    colour = rng.uniform(0, 255, 3)
    while np.abs(colour - mean).max() < 90:
        colour = rng.uniform(0, 255, 3)
    texture = rng.normal(0, 10, (height, width, 1))
    below += mask[..., None] * (colour + texture - below)


def _to_image(canvas: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))


def draw_shape(rng: np.random.Generator, label: int, size: int) -> Image.Image:
    """Return an RGB image of size × size px with one shape of class `label` (from 1)."""
    canvas = draw_background(rng, size, size)
    mask = _mask(rng, NAMES[label - 1], int(size * rng.uniform(0.4, 0.85)))
    top, left = (int(rng.integers(0, size - side + 1)) for side in mask.shape)
    _paint(rng, canvas, mask, top, left)
    return _to_image(canvas)


def draw_scene(
    rng: np.random.Generator, *, classes: int = 6, height: int = 256, width: int = 320, max_objects: int = 5
) -> tuple[Image.Image, list[SceneObject]]:
    """Return an RGB image with 1..max_objects shapes that overlap little, and the shapes with their boxes."""
    canvas = draw_background(rng, height, width)
    objects: list[SceneObject] = []
    for _ in range(int(rng.integers(1, max_objects + 1))):
        label = int(rng.integers(1, classes + 1))
        mask = _mask(rng, NAMES[label - 1], int(min(height, width) * rng.uniform(0.12, 0.5)))
        for _ in range(TRIES):
            top = int(rng.integers(0, height - mask.shape[0] + 1))
            left = int(rng.integers(0, width - mask.shape[1] + 1))
            box = (float(top), float(left), float(top + mask.shape[0]), float(left + mask.shape[1]))
            if _is_free(box, objects):
                _paint(rng, canvas, mask, top, left)
                objects.append(SceneObject(label, box))
                break
    return _to_image(canvas), objects


def _is_free(box: tuple[float, ...], objects: Sequence[SceneObject]) -> bool:
    return all(_overlap(box, other.box_yxyx) < MAX_OVERLAP for other in objects)


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Return the shared area of two boxes, divided by the area of the smaller one."""
    inner = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    return inner / min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))


def write_shapes_imagenet(
    root: Path, *, classes: int = 6, train_per_class: int = 100, val_per_class: int = 20, size: int = 96, seed: int = 0
) -> None:
    """Write `root/train/<synset>/*.JPEG`, `root/val/<synset>/*.JPEG` and `root/synset_words.txt`.

    Images have size × size px. An image depends on (seed, split, class, number) only: with more images per class, the
    first ones stay the same. Raises ValueError if there are not enough shapes for `classes`.
    """
    _check_classes(classes)
    root = Path(root)
    for split_index, (split, count) in enumerate((("train", train_per_class), ("val", val_per_class))):
        for label in range(1, classes + 1):
            folder = root / split / synset(label)
            make_folder(folder)
            for number in range(count):
                rng = np.random.default_rng([seed, split_index, label, number])
                image = draw_shape(rng, label, size)
                write_atomically(
                    folder / f"{synset(label)}_{number:05d}.JPEG", encode(image, "JPEG", quality=92), flush=False
                )
    words = "".join(f"{synset(label)} {NAMES[label - 1]}\n" for label in range(1, classes + 1))
    write_atomically(root / "synset_words.txt", words)


def _check_classes(classes: int) -> None:
    if not 1 <= classes <= len(NAMES):
        raise ValueError(f"classes must be 1..{len(NAMES)}, not {classes}")


def write_shapes_coco(
    root: Path, *, train: int = 100, val: int = 20, size: int = 160, classes: int = 6, seed: int = 0
) -> None:
    """Write `root/{train,val}2017/*.jpg` and `root/annotations/instances_{train,val}2017.json`, in COCO's layout.

    The longer side of an image has `size` px. A crowd is a group of small shapes of one class with one box. An image
    depends on (seed, split, number) only. Raises ValueError if there are not enough shapes for `classes`.
    """
    _check_classes(classes)
    root = Path(root)
    make_folder(root / "annotations")
    categories = [
        {"id": category_id(label), "name": name, "supercategory": "shape"}
        for label, name in enumerate(NAMES[:classes], 1)
    ]
    for split_index, (split, count) in enumerate((("train2017", train), ("val2017", val))):
        make_folder(root / split)
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for number in range(count):
            rng = np.random.default_rng([seed, split_index, number])
            image, objects, has_crowd = _draw_coco_scene(rng, number, size, classes)
            image_id = 1_000_000 * split_index + number + 1
            name = f"{image_id:012d}.jpg"
            write_atomically(root / split / name, encode(image, "JPEG", quality=92), flush=False)
            images.append({"id": image_id, "file_name": name, "width": image.width, "height": image.height})
            for place, found in enumerate(objects):
                top, left, bottom, right = found.box_yxyx
                annotations.append(
                    {"id": len(annotations) + 1, "image_id": image_id, "category_id": category_id(found.label),
                     "bbox": [left, top, right - left, bottom - top], "area": (bottom - top) * (right - left),
                     "iscrowd": int(has_crowd and place == len(objects) - 1)}
                )  # fmt: skip
        content = {"images": images, "annotations": annotations, "categories": categories}
        write_atomically(root / "annotations" / f"instances_{split}.json", json.dumps(content))


def _draw_coco_scene(
    rng: np.random.Generator, number: int, size: int, classes: int
) -> tuple[Image.Image, list[SceneObject], bool]:
    """Return an image, wide or tall, its shapes, and whether the last shape is a crowd."""
    short = max(1, round(size * rng.uniform(0.65, 0.95)))
    height, width = (short, size) if number % 3 else (size, short)
    if number % EMPTY_PERIOD == EMPTY_PERIOD - 1:
        return _to_image(draw_background(rng, height, width)), [], False
    image, objects = draw_scene(rng, classes=classes, height=height, width=width)
    if number % CROWD_PERIOD != 1:
        return image, objects, False
    canvas = np.asarray(image, np.float32).copy()
    crowd = _paint_crowd(rng, canvas, max(2, short // 9), classes, objects)
    return (_to_image(canvas), [*objects, crowd], True) if crowd else (image, objects, False)


def _paint_crowd(
    rng: np.random.Generator, canvas: np.ndarray, side: int, classes: int, objects: Sequence[SceneObject]
) -> SceneObject | None:
    """Paint nine shapes of one class, `side` px each, into `canvas` [H, W, 3]. Return None if there is no room."""
    label = int(rng.integers(1, classes + 1))
    masks = [_mask(rng, NAMES[label - 1], side) for _ in range(9)]
    for _ in range(TRIES):
        top, left = (int(rng.integers(0, max(1, length - 3 * side - 3))) for length in canvas.shape[:2])
        corners = [(top + index // 3 * (side + 1), left + index % 3 * (side + 1)) for index in range(9)]
        bottom = max(row + mask.shape[0] for (row, _), mask in zip(corners, masks, strict=True))
        right = max(column + mask.shape[1] for (_, column), mask in zip(corners, masks, strict=True))
        box = (float(top), float(left), float(bottom), float(right))
        if _is_free(box, objects):
            for mask, (row, column) in zip(masks, corners, strict=True):
                _paint(rng, canvas, mask, row, column)
            return SceneObject(label, box)
    return None
