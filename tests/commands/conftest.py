"""A training to call, and a detector that was trained."""

from __future__ import annotations

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


@pytest.fixture(scope="session")
def detector_run(scene_records: Path, shared_folder: Callable[..., Path]) -> Path:
    """A whole run of a tiny detector over 2 epochs; never change it."""

    def fill(run: Path) -> None:
        said = train_tiny("train-coco", *DETECTOR_FLAGS, f"--data={scene_records}", f"--run-dir={run}")
        assert "--backbone MODEL" in said

    return shared_folder("detector_run", fill)
