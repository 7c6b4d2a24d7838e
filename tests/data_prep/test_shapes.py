"""Generated images: the same seed gives the same images, and boxes are tight."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_prep.shapes import (
    NAMES,
    draw_background,
    draw_scene,
    draw_shape,
    synset,
    write_shapes_coco,
    write_shapes_imagenet,
)


def test_imagenet_folder_is_reproducible(pristine_imagenet: Path, tmp_path: Path) -> None:
    files = sorted(path.relative_to(pristine_imagenet) for path in pristine_imagenet.rglob("*.JPEG"))
    assert len(files) == 3 * (12 + 4)
    assert str(files[0]) == "train/n90000001/n90000001_00000.JPEG"
    assert (pristine_imagenet / "synset_words.txt").read_text().splitlines()[1] == "n90000002 square"
    write_shapes_imagenet(tmp_path, classes=2, train_per_class=2, val_per_class=0, size=32)
    for path in tmp_path.rglob("*.JPEG"):  # fewer images, but the same ones
        assert path.read_bytes() == (pristine_imagenet / path.relative_to(tmp_path)).read_bytes()
    with pytest.raises(ValueError, match="classes must be 1"):
        write_shapes_imagenet(tmp_path, classes=len(NAMES) + 1)


@pytest.mark.parametrize("label", range(1, len(NAMES) + 1))
def test_each_shape_can_be_drawn(label: int) -> None:
    image = draw_shape(np.random.default_rng(label), label, 48)
    assert image.size == (48, 48)
    assert synset(label) == f"n900000{label:02d}"


def test_boxes_are_tight() -> None:
    for seed in range(20):
        image, objects = draw_scene(np.random.default_rng(seed), max_objects=1, classes=len(NAMES))
        background = draw_background(np.random.default_rng(seed), image.height, image.width).clip(0, 255)
        changed = np.abs(np.asarray(image) - background).max(axis=-1) > 24
        rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        found = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
        assert np.abs(np.subtract(objects[0].box_yxyx, found)).max() <= 2, (seed, objects, found)


def test_scene_boxes_lie_inside_and_apart() -> None:
    image, objects = draw_scene(np.random.default_rng(3), height=100, width=150, max_objects=5)
    assert isinstance(image, Image.Image)
    assert image.size == (150, 100)
    for one in objects:
        top, left, bottom, right = one.box_yxyx
        assert 0 <= top < bottom <= 100
        assert 0 <= left < right <= 150
        assert 1 <= one.label <= 6


def test_coco_folder_is_reproducible_and_has_crowds_and_empty_images(tmp_path: Path) -> None:
    write_shapes_coco(tmp_path / "a", train=20, val=2, size=48, classes=3)
    write_shapes_coco(tmp_path / "b", train=10, val=2, size=48, classes=3)
    for path in tmp_path.glob("b/*/*.jpg"):  # fewer images, but the same ones
        assert path.read_bytes() == (tmp_path / "a" / path.relative_to(tmp_path / "b")).read_bytes()
    content = json.loads((tmp_path / "a/annotations/instances_train2017.json").read_text())
    images = {image["id"]: image for image in content["images"]}
    assert len(images) == 20
    assert len({image["width"] > image["height"] for image in images.values()}) == 2  # wide and tall
    assert len(images) - len({one["image_id"] for one in content["annotations"]}) == 2  # without boxes
    assert any(one["iscrowd"] for one in content["annotations"])
    assert {one["category_id"] for one in content["annotations"]} == {1, 4, 7}
    for one in content["annotations"]:
        (left, top, width, height), image = one["bbox"], images[one["image_id"]]
        assert min(left, top) >= 0 < min(width, height)
        assert left + width <= image["width"]
        assert top + height <= image["height"]
    with pytest.raises(ValueError, match="classes must be 1"):
        write_shapes_coco(tmp_path, classes=len(NAMES) + 1)
