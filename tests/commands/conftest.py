"""A training to call, and a detector that was trained."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_net import DETECTOR_FLAGS, FLAGS, train_tiny


@pytest.fixture
def train_imagenet(mnasnet: Callable[..., Any], shape_records: Path, tmp_path: Path) -> Callable[..., Any]:
    """A function that trains the tiny net on shapes into the folder `run`; flags that it gets win over its own."""

    def run(*more: str) -> Any:
        return mnasnet("train-imagenet", *FLAGS, f"--data={shape_records}", f"--run-dir={tmp_path / 'run'}", *more)

    return run


@pytest.fixture
def split_records(shape_records: Path, tmp_path: Path) -> Path:
    """A copy of `shape_records` with half of its validation images as a test split, too."""
    copy = Path(shutil.copytree(shape_records, tmp_path / "split"))
    shutil.copy(copy / "validation-00001-of-00002", copy / "test-00000-of-00001")
    content = json.loads((copy / "dataset.json").read_text())
    content["splits"]["test"] = content["splits"]["validation"] | {"examples": 10, "shard_examples": [10]}
    (copy / "dataset.json").write_text(json.dumps(content))
    return copy


@pytest.fixture
def without_validation(tmp_path: Path) -> Callable[[Path], Path]:
    """A function that copies records without their validation split."""

    def copy_of(records: Path) -> Path:
        copy = Path(shutil.copytree(records, tmp_path / "train-only"))
        for shard in copy.glob("validation-*"):
            shard.unlink()
        content = json.loads((copy / "dataset.json").read_text())
        del content["splits"]["validation"]
        (copy / "dataset.json").write_text(json.dumps(content))
        return copy

    return copy_of


@pytest.fixture(scope="session")
def detector_run(scene_records: Path, shared_folder: Callable[..., Path]) -> Path:
    """A whole run of a tiny detector over 2 epochs; never change it."""

    def fill(run: Path) -> None:
        said = train_tiny("train-coco", *DETECTOR_FLAGS, f"--data={scene_records}", f"--run-dir={run}")
        assert "--backbone MODEL" in said

    return shared_folder("detector_run", fill)
