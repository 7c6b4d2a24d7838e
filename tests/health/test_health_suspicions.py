"""What looks wrong in images and classes: each suspicion alone, and none in a healthy set."""

from __future__ import annotations

from pathlib import Path

import pytest
from health_cases import blank, collect, labelled, picture, suspicions

from mnasnet_cli.health.scan import scan
from mnasnet_cli.records import keys


def healthy(first: int, classes: int = 2, each: int = 10) -> list[bytes]:
    """Records of different images, `each` of every class."""
    return [labelled(picture(first + number), number % classes + 1) for number in range(classes * each)]


def test_a_healthy_set_has_no_findings(tmp_path: Path) -> None:
    assert not suspicions(collect(tmp_path, train=healthy(0), validation=healthy(100, each=2)))


def test_pictures_in_two_splits(tmp_path: Path) -> None:
    train = healthy(0)
    again = labelled(picture(3), 2, **{keys.FILENAME: b"again.jpg"})
    found = suspicions(collect(tmp_path, train=train, validation=[*healthy(100), again], test=train[:2]))
    assert set(found) == {"picture-in-two-splits validation", "picture-in-two-splits test"}
    one = found["picture-in-two-splits validation"]
    assert (one.count, one.example) == (1, "again.jpg")
    assert str(one).startswith("validation: 1 image is in the train split as well; scores on them measure memorization")
    assert found["picture-in-two-splits test"].count == 2


def test_a_picture_in_two_classes(tmp_path: Path) -> None:
    records = [labelled(picture(1), label, **{keys.FILENAME: name}) for label, name in ((1, b"a.jpg"), (2, b"b.jpg"))]
    found = suspicions(collect(tmp_path, train=[*healthy(10), *records]))
    assert set(found) == {"picture-in-two-classes"}
    assert (found["picture-in-two-classes"].count, found["picture-in-two-classes"].example) == (
        1, "a.jpg (1) and b.jpg (2)",
    )  # fmt: skip


def test_copies_within_a_class(tmp_path: Path) -> None:
    records = [labelled(picture(1), 1, **{keys.FILENAME: name}) for name in (b"a.jpg", b"b.jpg", b"c.jpg")]
    found = suspicions(collect(tmp_path, train=[*healthy(10), *records]))
    assert set(found) == {"repeated-picture train"}
    assert (found["repeated-picture train"].count, found["repeated-picture train"].example) == (
        2, "b.jpg, a copy of a.jpg",
    )  # fmt: skip


def test_classes(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("a\tant\nb\tbee\nc\tcat\nd\tdog\n")
    train = [*healthy(0), *(labelled(picture(seed), 3) for seed in range(50, 54))]
    found = suspicions(collect(tmp_path, train=train, validation=[labelled(picture(99), 1)]))
    assert {code: (one.count, one.example) for code, one in found.items()} == {
        "class-without-training-images": (1, "dog"),
        "class-with-few-images": (1, "cat (4)"),
        "class-without-validation-images": (2, "bee, cat"),
    }


def test_classes_of_a_file_without_a_split(tmp_path: Path) -> None:
    collect(tmp_path, train=[labelled(picture(seed), 1 + seed % 2) for seed in range(4)])
    (tmp_path / "train-00000-of-00001").rename(tmp_path / "animals.tfrecord")
    found = suspicions(scan(tmp_path / "animals.tfrecord"))
    assert found["class-with-few-images"].count == 2


def test_one_class(tmp_path: Path) -> None:
    found = suspicions(collect(tmp_path, train=healthy(0, classes=1)))
    assert str(found["one-class"]) == "1 class only, for example 1; a classifier needs two"


def test_uneven_classes(tmp_path: Path) -> None:
    small = [labelled(picture(seed, 120, 120), 1) for seed in range(102)]
    found = suspicions(collect(tmp_path, train=[*small, labelled(picture(900, 120, 120), 2)]))
    assert (found["uneven-classes"].count, found["uneven-classes"].example) == (1, "2 (1)")


def test_unknown_labels(tmp_path: Path) -> None:
    found = suspicions(collect(tmp_path, train=[*healthy(0), labelled(picture(50), 0)]))
    assert set(found) == {"unknown-label train"}
    assert "not in 1..2 (0 is the background)" in found["unknown-label train"].message


@pytest.mark.parametrize(
    ("images", "code", "count"),
    [
        ([picture(seed, 60, 50) for seed in range(60, 85)], "small-image", 25),
        ([picture(60, 900, 120)], "long-image", 1),
        ([picture(seed, mode="L") for seed in range(60, 64)], "gray-images", 4),
        ([picture(60, orientation=8)], "turned-image train", 1),
        ([picture(60, mode="CMYK")], "undecodable-image train", 1),
        ([picture(60)[:500]], "no-image train", 1),
        ([blank()], "blank-image train", 1),
    ],
)
def test_images(tmp_path: Path, images: list[bytes], code: str, count: int) -> None:
    found = suspicions(collect(tmp_path, train=[*healthy(0), *(labelled(image, 1) for image in images)]))
    assert {name: one.count for name, one in found.items()} == {code: count}
    assert found[code].advice


def test_a_few_gray_images_are_usual_and_so_are_gray_sets(tmp_path: Path) -> None:
    few = [*healthy(0), labelled(picture(60, mode="L"), 1)]
    assert not suspicions(collect(tmp_path / "few", train=few))
    gray = [labelled(picture(number, mode="L"), number % 2 + 1) for number in range(20)]
    assert not suspicions(collect(tmp_path / "gray", train=gray))


def test_an_almost_blank_photograph_is_none(tmp_path: Path) -> None:
    """A small object in a blue sky: its file is as small as that of a blank image."""
    from io import BytesIO

    from PIL import Image

    sky = Image.new("RGB", (400, 400), "skyblue")
    sky.paste("red", (200, 200, 216, 216))
    out = BytesIO()
    sky.save(out, "JPEG")
    assert not suspicions(collect(tmp_path, train=[*healthy(0), labelled(out.getvalue(), 1)]))
