"""`mnasnet prepare-coco`: images with boxes to record shards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data_prep.detection.recognition import find_layout
from data_prep.detection.source import find_source
from data_prep.options import CocoOptions
from data_prep.preparation import Announce, Progress, write_records
from mnasnet_cli.errors import DataError


def has_annotations(source: Path) -> bool:
    """Tell whether a source has annotations with boxes, in a format that is known."""
    try:
        find_layout(Path(source), CocoOptions())
    except (DataError, OSError):
        return False
    return True


def prepare_coco(
    source: Path,
    out: Path,
    options: CocoOptions | None = None,
    *,
    on_layout: Announce = lambda layout: None,
    on_progress: Progress = lambda done, total: None,
) -> dict[str, Any]:
    """Write the records of `source` into the folder `out` and return the summary; see `write_records`."""
    options = options or CocoOptions()
    return write_records(
        lambda options: find_source(Path(source), options),
        Path(out),
        options,
        on_layout=on_layout,
        on_progress=on_progress,
    )
