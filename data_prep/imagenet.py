"""`mnasnet prepare-imagenet`: images with one class each to record shards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data_prep.classification.source import find_source
from data_prep.options import Options
from data_prep.preparation import Announce, Progress, write_records


def prepare_imagenet(
    source: Path,
    out: Path,
    options: Options | None = None,
    *,
    on_layout: Announce = lambda layout: None,
    on_progress: Progress = lambda done, total: None,
) -> dict[str, Any]:
    """Write the records of `source` into the folder `out` and return the summary; see `write_records`."""
    options = options or Options()
    return write_records(
        lambda options: find_source(Path(source), options),
        Path(out),
        options,
        on_layout=on_layout,
        on_progress=on_progress,
    )
