"""The content of a record folder, for comparisons."""

from __future__ import annotations

import json
from pathlib import Path


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


def contents_without_layout(out: Path) -> dict[str, bytes]:
    """The same, without the line in dataset.json that says what the source was taken for."""
    found = contents(out)
    info = json.loads(found["dataset.json"])
    del info["layout"]
    return found | {"dataset.json": json.dumps(info).encode()}
