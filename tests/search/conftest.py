"""Records that are large enough for a search, and the results of a phone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from searched import write_phone_results


@pytest.fixture(scope="session")
def many_shapes(shared_folder: Callable[..., Path]) -> Path:
    """Records of generated shapes: 4 classes, 560 training images in 4 shards, 40 validation images, 32 px."""
    from data_prep.imagenet import prepare_imagenet
    from data_prep.options import Options
    from data_prep.shapes import write_shapes_imagenet

    def fill(root: Path) -> None:
        write_shapes_imagenet(root / "images", classes=4, train_per_class=140, val_per_class=10, size=32)
        prepare_imagenet(root / "images", root / "records", Options(train_shards=4, val_shards=1, workers=1))

    return shared_folder("many_shapes", fill) / "records"


@pytest.fixture
def phone(tmp_path: Path) -> Path:
    """The folder of --android after its script has run."""
    return write_phone_results(tmp_path / "phone")
