"""What looks wrong in boxes: each suspicion alone, and none in a healthy set."""

from __future__ import annotations

from pathlib import Path

import pytest
from health_cases import Box, boxed, collect, picture, suspicions

from mnasnet_cli.records import keys

USUAL = (0.1, 0.2, 0.5, 0.6)
WHOLE = (0.0, 0.0, 1.0, 1.0)
TINY = (0.5, 0.5, 0.51, 0.6)  # 6.4 px high at 640 px
POINT = (0.5, 0.5, 0.502, 0.501)  # 0.6 and 0.3 px of an image of 330×320 px


def boxed_images(count: int, boxes: list[Box], **more: list[int]) -> list[bytes]:
    """Records of different images, with the same boxes of the classes 1 and 2 in turn."""
    return [
        boxed(picture(number, 330, 320), boxes, [number % 2 + 1] * len(boxes), **more) for number in range(count)
    ]  # fmt: skip


def test_healthy_boxes_have_no_findings(tmp_path: Path) -> None:
    images = [*boxed_images(20, [USUAL, USUAL]), boxed(picture(50, 330, 320), [], [])]
    assert not suspicions(collect(tmp_path, train=images))


@pytest.mark.parametrize(
    ("boxes", "more", "code", "count"),
    [
        ([], {}, "no-boxes", 20),
        ([WHOLE], {}, "boxes-cover-images", 20),
        ([POINT], {}, "boxes-of-one-px", 20),
        ([USUAL, TINY], {}, "tiny-boxes", 20),
        ([USUAL], {keys.IS_CROWD: [1]}, "only-crowds", 20),
        ([USUAL, USUAL, USUAL], {keys.IS_CROWD: [1, 1, 0]}, "most-boxes-are-crowds", 40),
        ([USUAL, (0.5, 0.5, 0.5, 0.6)], {}, "box-without-area", 20),
        ([USUAL, (0.5, 0.5, 1.5, 0.7)], {}, "boxes-overshoot", 20),
    ],
)
def test_boxes(tmp_path: Path, boxes: list[Box], more: dict[str, list[int]], code: str, count: int) -> None:
    (tmp_path / "labels.txt").write_text("1\tant\n2\tbee\n")
    found = suspicions(collect(tmp_path, train=boxed_images(20, boxes, **more)))
    found.pop("class-without-training-images", None)  # of images without boxes
    found.pop("tiny-boxes train", None) if code == "box-without-area" else None
    assert {name: one.count for name, one in found.items()} == {f"{code} train": count}
    assert found[f"{code} train"].advice


def test_many_images_without_boxes(tmp_path: Path) -> None:
    empty = [boxed(picture(seed, 330, 320), [], []) for seed in range(40, 60)]
    found = suspicions(collect(tmp_path, train=[*boxed_images(20, [USUAL]), *empty]))
    assert str(found["images-without-boxes train"]).startswith("train: 20 of 40 images have no box")


def test_unknown_labels_and_one_class(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("7\tant\n")
    found = suspicions(collect(tmp_path, train=boxed_images(20, [USUAL])))
    assert found["unknown-label train"].count == 10
    assert str(found["one-class"]) == "1 class only, for example ant; check that no class was lost"
