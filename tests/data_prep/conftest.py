"""A small ImageNet-style source for the writers' tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from data_prep.shapes import write_shapes_imagenet


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3 classes, 12 training and 4 validation images each."""
    root = tmp_path_factory.mktemp("shapes")
    write_shapes_imagenet(root, classes=3, train_per_class=12, val_per_class=4, size=32)
    return root


@pytest.fixture
def source(pristine: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(pristine, tmp_path / "source"))
