"""From an ImageNet-style source to record shards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data_prep.imagenet_source import find_source
from data_prep.job import BadImageError
from data_prep.options import Options
from data_prep.records import Progress, write_records

__all__ = ["BadImageError", "Options", "prepare_imagenet"]


def prepare_imagenet(
    source: Path, out: Path, options: Options | None = None, *, on_progress: Progress = lambda done, total: None
) -> dict[str, Any]:
    """Write the records of `source` into the folder `out` and return the summary; see `write_records`."""
    options = options or Options()
    return write_records(lambda: find_source(Path(source), options.labels), Path(out), options, on_progress)
