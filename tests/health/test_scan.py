"""Reading facts from records of this program and of others."""

from __future__ import annotations

from pathlib import Path

import pytest
from health_cases import boxed, collect, labelled, picture, write

from mnasnet_cli.errors import DataError
from mnasnet_cli.health import scan as scanning
from mnasnet_cli.health.scan import scan
from mnasnet_cli.records import keys

WHOLE = (0.0, 0.0, 1.0, 1.0)


def test_labels_and_sizes(tmp_path: Path) -> None:
    records = [labelled(picture(seed, 50, 40), seed + 1, **{keys.TEXT: b"cat, tomcat"}) for seed in range(3)]
    found = collect(tmp_path, train=records, validation=records[:1])
    assert (found.kind, list(found.keys), found.class_name(1)) == ("imagenet", ["1", "2", "3"], "cat")
    columns = found.splits["train"].facts.columns
    assert list(columns["label"]) == [1, 2, 3]
    assert set(zip(columns["width"], columns["height"], columns["channels"], strict=True)) == {(50, 40, 3)}
    assert len(found.splits["validation"].facts) == 1


def test_boxes_with_labels(tmp_path: Path) -> None:
    records = [boxed(picture(1), [WHOLE], [2], **{keys.OBJECT_TEXT: [b"dog"]}), boxed(picture(2), [], [])]
    found = collect(tmp_path, train=records)
    assert (found.kind, list(found.texts)) == ("coco", ["1", "dog"])
    columns = found.splits["train"].facts.columns
    assert (list(columns["boxes"]), list(columns["box_area"])) == ([1, 0], [240 * 230])


def test_boxes_with_texts_only(tmp_path: Path) -> None:
    """The Object Detection API's COCO script writes such records."""
    records = [boxed(picture(1), [WHOLE, WHOLE], [b"dog", b"cat"]), boxed(picture(2), [WHOLE], [b"dog"])]
    for name in ("coco_train.record-00000-of-00002", "coco_train.record-00001-of-00002"):
        write(tmp_path, "x", records)
        (tmp_path / "x-00000-of-00001").rename(tmp_path / name)
    found = scan(tmp_path)
    assert (found.kind, list(found.texts)) == ("coco", ["cat", "dog"])
    assert list(found.splits["train"].facts.columns["box_label"]) == [2, 1, 2] * 2
    (tmp_path / "labels.txt").write_text("17\tdog\n18\tbird\n")
    found = scan(tmp_path)
    assert (list(found.keys), list(found.texts)) == (["17", "18"], ["dog", "bird"])
    assert list(found.splits["train"].facts.columns["box_label"]) == [1, 0, 1] * 2  # cat is unknown


def test_a_single_file(tmp_path: Path) -> None:
    write(tmp_path, "train", [labelled(picture(1), 1)], [labelled(picture(2), 2)])
    found = scan(tmp_path / "train-00001-of-00002")
    assert list(found.splits["train"].facts.columns["label"]) == [2]


@pytest.mark.parametrize(
    ("record", "code"),
    [
        (labelled(picture(1, orientation=6), 1), "turned-image"),
        (labelled(picture(1, kind="PNG", orientation=3), 1), "turned-image"),
        (labelled(picture(1, mode="CMYK"), 1), "undecodable-image"),
        (labelled(picture(1, kind="WEBP"), 1), "undecodable-image"),
        (labelled(b"no image", 1), "no-image"),
        (labelled(b"", 1), "no-image"),
        (labelled(picture(1), 1, **{keys.WIDTH: 230, keys.HEIGHT: 240}), "size-differs"),
        (boxed(picture(1), [(0.5, 0.0, 0.5, 1.0)], [1]), "box-without-area"),
        (boxed(picture(1), [(0.0, 0.0, float("nan"), 1.0)], [1]), "box-without-area"),
        (boxed(picture(1), [(0.0, 0.0, 1.5, 1.0)], [1]), "boxes-overshoot"),
        (boxed(picture(1), [WHOLE, WHOLE], [1]), "uneven-lists"),
    ],
)
def test_problems_of_single_records(tmp_path: Path, record: bytes, code: str) -> None:
    sound = labelled(picture(2), 1) if code in ("no-image", "turned-image") else boxed(picture(2), [WHOLE], [1])
    facts = collect(tmp_path, train=[sound, record]).splits["train"].facts
    assert facts.problems == {code: [1, 1]}


def test_workers_read_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [labelled(picture(seed, 30, 20), seed % 3 + 1) for seed in range(7)]
    write(tmp_path, "train", records[:5], records[5:])
    expected = scan(tmp_path).splits["train"]
    monkeypatch.setattr(scanning, "FEW", 0)
    monkeypatch.setattr(scanning, "CHUNK", 2)
    monkeypatch.setattr(scanning, "core_count", lambda: 2)
    progress: list[tuple[int, int]] = []
    found = scan(tmp_path, on_progress=lambda done, total: progress.append((done, total))).splits["train"]
    assert found.facts.columns == expected.facts.columns
    assert (found.files, found.ends) == (expected.files, expected.ends)
    assert progress[0] == (0, 7)
    assert progress[-1] == (7, 7)
    assert found.locate(4) == (tmp_path / "train-00000-of-00002", 4)
    assert found.locate(5) == (tmp_path / "train-00001-of-00002", 0)


def test_other_files_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "train", [b"\xff\xff"])
    with pytest.raises(DataError, match=r"record 0 is not a tf\.train\.Example"):
        scan(tmp_path)
