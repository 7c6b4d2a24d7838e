"""Records that are large enough for a search, and the results of a phone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from searched import write_phone_results


@pytest.fixture(scope="session")
def many_shapes(make_shape_records: Callable[..., Path]) -> Path:
    """Records of generated shapes: 4 classes, 560 training images in 4 shards, 40 validation images, 32 px."""
    return make_shape_records("many_shapes", train_per_class=140, val_per_class=10, val_shards=1, size=32)


@pytest.fixture
def phone(tmp_path: Path) -> Path:
    """The folder of --android after its script has run."""
    return write_phone_results(tmp_path / "phone")
