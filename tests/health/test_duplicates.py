"""Images with the same content, within and across splits and classes."""

from __future__ import annotations

from pathlib import Path

from health_cases import boxed, collect, labelled, picture

from mnasnet_cli.health.duplicates import Copies, count_images, find_duplicates, summarize
from mnasnet_cli.records import keys


def test_groups(tmp_path: Path) -> None:
    a, b, c = (picture(seed) for seed in range(3))
    train = [labelled(a, 1, **{keys.FILENAME: b"a.jpg"}), labelled(b, 1), labelled(a, 1), labelled(a, 2)]
    found = collect(tmp_path, train=train, validation=[labelled(c, 1), labelled(b, 1)])
    duplicates = find_duplicates(found)
    assert duplicates.groups == [
        [Copies("train", 1, 0, second=2, count=2), Copies("train", 2, 3)],
        [Copies("train", 1, 1), Copies("validation", 1, 1)],
    ]
    assert duplicates.across_splits("train", "validation") == [Copies("validation", 1, 1)]
    assert duplicates.across_classes() == duplicates.groups[:1]
    assert duplicates.within("train") == duplicates.groups[0][:1]
    summary = summarize(duplicates, found)
    assert (summary["groups"], summary["images"], summary["across_classes"]) == (2, 5, 1)
    assert summary["repeated"] == {"train": 2, "validation": 0}
    assert summary["across_splits"] == {"train and validation": 1}
    assert summary["first_groups"][0][0] == {"split": "train", "class": "1", "images": 2, "file": "a.jpg"}


def test_images_with_boxes_have_no_class(tmp_path: Path) -> None:
    a = picture(1)
    found = collect(tmp_path, train=[boxed(a, [(0, 0, 1, 1)], [1]), boxed(a, [(0, 0, 1, 1)], [2])])
    duplicates = find_duplicates(found)
    assert not duplicates.across_classes()
    assert [count_images(group) for group in duplicates.groups] == [2]
    assert len(duplicates.within("train")) == 1


def test_many_copies_are_listed_once(tmp_path: Path) -> None:
    found = collect(tmp_path, train=[labelled(picture(1, 20, 20), 1)] * 100)
    duplicates = find_duplicates(found)
    assert duplicates.groups == [[Copies("train", 1, 0, second=1, count=100)]]
    assert summarize(duplicates, found)["repeated"] == {"train": 99}


def test_records_without_images_are_no_copies(tmp_path: Path) -> None:
    found = collect(tmp_path, train=[labelled(b"", 1), labelled(b"", 2)])
    assert not find_duplicates(found).groups
