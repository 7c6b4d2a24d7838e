"""The content of a record folder, for comparisons."""

from __future__ import annotations

from pathlib import Path


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}
