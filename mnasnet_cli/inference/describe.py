"""What an exported artifact holds, for `mnasnet inspect`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from mnasnet_cli.config.task_names import MODEL_KINDS
from mnasnet_cli.inference.manifest import FORMATS, MANIFEST_FILE, manifest_path, read_manifest
from mnasnet_cli.inference.runner import is_run, recognise


def is_artifact(path: Path) -> bool:
    """Whether the path is that of an exported model, or of the folder of a whole export."""
    if path.is_dir() and _formats_in(path) and not is_run(path):
        return True
    form, place = recognise(str(path))
    return form != "checkpoint" and (place.exists() or form == "slim-checkpoint")


def describe_artifact(path: Path) -> dict[str, Any]:
    """The manifest of an artifact, and how large its files are; of the folder of an export, of each artifact in it.

    Raises:
      CheckpointError: it has no manifest.
    """
    inside = _formats_in(path)
    if inside:
        return {"what": "export", "path": str(path), "artifacts": [describe_artifact(path / form) for form in inside]}
    _, place = recognise(str(path))
    manifest = read_manifest(place)
    folder = manifest_path(place).parent
    sizes = [(folder / name).stat().st_size for name in manifest.files if (folder / name).is_file()]
    return {
        "what": "artifact",
        "path": str(path),
        "bytes": sum(sizes),
        "image_size": manifest.image_size,
        "classes": len(manifest.labels),
        "category_ids": list(manifest.category_ids),
        **dataclasses.asdict(manifest),
        "kind": MODEL_KINDS[manifest.task],
    }


def _formats_in(folder: Path) -> list[str]:
    """The formats that an export has written below its folder."""
    return [form for form in FORMATS if (folder / form / MANIFEST_FILE).is_file()]
