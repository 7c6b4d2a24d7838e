"""From a COCO-style source to record shards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data_prep.coco_source import find_source
from data_prep.options import CocoOptions
from data_prep.records import Progress, write_records

__all__ = ["CocoOptions", "prepare_coco"]


def prepare_coco(
    source: Path, out: Path, options: CocoOptions | None = None, *, on_progress: Progress = lambda done, total: None
) -> dict[str, Any]:
    """Write the records of `source` into the folder `out` and return the summary; see `write_records`."""
    options = options or CocoOptions()
    return write_records(lambda: find_source(Path(source), options), Path(out), options, on_progress)
