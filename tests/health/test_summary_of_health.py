"""The numbers of a data set: by split and class, sizes, and boxes at the training size."""

from __future__ import annotations

from pathlib import Path

from health_cases import boxed, collect, labelled, picture

from mnasnet_cli.config.loading import load_config
from mnasnet_cli.health import summary
from mnasnet_cli.records import keys


def test_images(tmp_path: Path) -> None:
    sizes = [(100, 50), (100, 100), (300, 100)]
    train = [
        labelled(picture(seed, *size), label) for seed, (size, label) in enumerate(zip(sizes, (1, 1, 3), strict=True))
    ]
    found = collect(tmp_path, train=train, validation=[labelled(picture(9, mode="L"), 1)])
    numbers = summary.summarize(found)
    train_numbers = numbers["train"]
    assert (train_numbers["images"], train_numbers["classes"]) == (3, 2)
    assert train_numbers["images_per_class"] == {"min": 1, "max": 2}
    assert train_numbers["width"] == {"min": 100, "p5": 100, "median": 100, "p95": 300, "max": 300}
    assert (train_numbers["aspect_ratio"]["min"], train_numbers["aspect_ratio"]["max"]) == (1.0, 3.0)
    assert (train_numbers["channels"], numbers["validation"]["channels"]) == ({"3": 3}, {"1": 1})
    assert summary.class_table(found)[0] == {
        "class": "1", "name": "1", "splits": {"train": {"images": 2}, "validation": {"images": 1}},
    }  # fmt: skip
    assert summary.class_table(found)[1]["splits"]["train"] == {"images": 0}


def test_boxes(tmp_path: Path) -> None:
    # Sides at 640 px: 640 and 640; 6.4 and 64; 12.8 and 12.8 (6.4 at 320 px); 19.2 and 19.2 (9.6).
    boxes = [(0, 0, 1, 1), (0, 0, 0.1, 0.01), (0, 0, 0.02, 0.02), (0.5, 0.5, 0.53, 0.53)]
    areas = {keys.AREA: [9216.0, 1023.0, 1024.0, 5.0], keys.IS_CROWD: [0, 1, 0, 0]}
    found = collect(tmp_path, train=[boxed(picture(1), boxes, [1, 1, 2, 2], **areas), boxed(picture(2), [], [])])
    numbers = summary.summarize(found)["train"]["boxes"]
    assert (numbers["boxes"], numbers["crowds"], numbers["images_without_boxes"]) == (4, 1, 1)
    assert (numbers["small"], numbers["medium"], numbers["large"]) == (2, 1, 1)
    assert numbers["under_8_px"] == {"640": {"boxes": 1, "share": 0.25}, "320": {"boxes": 2, "share": 0.5}}
    assert (numbers["boxes_per_image"]["min"], numbers["boxes_per_image"]["max"]) == (0, 4)
    assert summary.class_table(found)[1]["splits"]["train"] == {"images": 1, "boxes": 2}


def test_quantiles() -> None:
    assert summary.quantiles([]) == {}
    assert summary.quantiles(range(101)) == {"min": 0, "p5": 5, "median": 50, "p95": 95, "max": 100}


def test_training_sizes_are_those_of_the_recipes() -> None:
    sizes = tuple(load_config(name, task="detection").data.image_size for name in ("retinanet", "lite"))
    assert sizes == summary.DETECTION_SIZES
    assert load_config("paper", task="classification").data.image_size == summary.CLASSIFICATION_SIZE
