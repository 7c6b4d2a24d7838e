"""`mnasnet.prepare`: classification or detection is found by looking."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import mnasnet_cli as mnasnet
from mnasnet_cli.api.preparation import task_of
from mnasnet_cli.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a set of each task."""
    from data_prep.shapes import write_shapes_coco, write_shapes_imagenet

    root = tmp_path_factory.mktemp("images")
    write_shapes_imagenet(root / "classes", classes=3, train_per_class=4, val_per_class=2, size=40)
    write_shapes_coco(root / "scenes", classes=2, train=4, val=2, size=60)
    return root


def test_both_tasks(images: Path, tmp_path: Path) -> None:
    classes = mnasnet.prepare(images / "classes", tmp_path / "a", workers=1)
    scenes = mnasnet.prepare(str(images / "scenes"), str(tmp_path / "b"), workers=1, max_side=50)
    assert (classes["kind"], scenes["kind"]) == ("imagenet", "coco")
    assert classes["splits"]["train"]["examples"] == 12
    assert scenes["image_sizes"]["width"]["max"] == 50
    assert json.loads((tmp_path / "b/dataset.json").read_text())["kind"] == "coco"


def test_the_task_can_be_given(images: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="prepare-coco"):
        mnasnet.prepare(images / "scenes", tmp_path / "out", task="classification")
    assert task_of(images / "scenes", ["labels"]) == "classification"
    assert task_of(images / "classes", ["train_annotations"]) == "detection"
    with pytest.raises(ConfigError, match="no task 'boxes'"):
        mnasnet.prepare(images / "scenes", tmp_path / "out", task="boxes")  # type: ignore[arg-type]


def test_a_table_of_labels_is_classification(images: Path, tmp_path: Path) -> None:
    files = sorted((images / "classes").glob("train/*/*"))
    (tmp_path / "set/images").mkdir(parents=True)
    rows = ["file,label"]
    for number, file in enumerate(files):
        shutil.copy(file, tmp_path / f"set/images/{number}{file.suffix}")
        rows.append(f"{number}{file.suffix},{file.parent.name}")
    (tmp_path / "set/labels.csv").write_text("\n".join(rows) + "\n")
    assert mnasnet.prepare(tmp_path / "set", tmp_path / "out", workers=1)["kind"] == "imagenet"


def test_options_are_those_of_the_command(images: Path, tmp_path: Path) -> None:
    for name, value, message in (
        ("max_sid", 5, "no option 'max_sid' .*did you mean 'max_side'"),
        ("crowd_as_objects", True, "no option 'crowd_as_objects'"),
        ("part", "one", "--part one: expected I/N"),
        ("val_fraction", 2, "--val-fraction must be"),
    ):
        with pytest.raises(ConfigError, match=message):
            mnasnet.prepare(images / "classes", tmp_path / "out", task="classification", **{name: value})
    assert not (tmp_path / "out").exists()
    part = mnasnet.prepare(images / "classes", tmp_path / "out", part=(1, 2), train_shards=2, val_shards=2, workers=1)
    assert part["missing_parts"] == ["2/2"]
