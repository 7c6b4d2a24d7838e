"""Reads what other commands put into a run: exports and measured latencies. Damaged files are left out."""

from __future__ import annotations

from pathlib import Path
from typing import Required

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from mnasnet_cli.system.documents import read_sound_json
from mnasnet_cli.system.relative_paths import RelativePath

LATENCY_FILE, MANIFEST_FILE = "latency.json", "manifest.json"


@with_config(ConfigDict(extra="allow"))
class Parity(TypedDict, total=False):
    """How much an exported file differs from the checkpoint."""

    difference: float | None
    agreement: float | None
    on: str | None


class Export(TypedDict, total=False):
    """What the page says of an exported file, from its manifest.json."""

    format: Required[str]
    files: Required[list[RelativePath]]
    step: int
    parity: Parity
    labels: list[str]
    folder: str
    bytes: int


@with_config(ConfigDict(extra="allow"))
class Latency(TypedDict, total=False):
    """A row of latency.json."""

    name: str
    format: str | None
    image_size: int | None
    batch_size: int
    threads: int | None
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None


class LatencyReport(TypedDict):
    """latency.json, which `mnasnet benchmark` writes."""

    models: list[Latency]


def read_exports(run_dir: Path) -> list[Export]:
    """Return the manifests below `export/` of a run, each with its folder and the size of its files."""
    found = [_read_export(path) for path in sorted((run_dir / "export").glob(f"*/{MANIFEST_FILE}"))]
    return [manifest for manifest in found if manifest]


def _read_export(path: Path) -> Export | None:
    manifest = read_sound_json(path, Export)
    if manifest is None:
        return None
    files = [path.parent / name for name in manifest["files"]]
    size = sum(file.stat().st_size for file in files if file.is_file())
    return {**manifest, "folder": path.parent.name, "bytes": size}


def read_latencies(run_dir: Path) -> list[Latency]:
    """Return the rows of all latency.json of a run."""
    files = [path for depth in ("", "*/", "*/*/") for path in sorted(run_dir.glob(f"{depth}{LATENCY_FILE}"))]
    reports = [read_sound_json(path, LatencyReport) for path in files]
    return [row for report in reports if report for row in report["models"]]
