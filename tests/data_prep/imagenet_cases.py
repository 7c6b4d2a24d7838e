"""Short runs of `prepare_imagenet`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from data_prep.imagenet import prepare_imagenet
from data_prep.options import Options

SMALL = Options(train_shards=4, val_shards=2, workers=1)


def prepare(source: Path, out: Path, **options: Any) -> dict[str, Any]:
    return prepare_imagenet(source, out, dataclasses.replace(SMALL, **options))
