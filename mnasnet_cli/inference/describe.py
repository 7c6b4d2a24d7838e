"""What an exported artifact holds, for `mnasnet inspect`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from mnasnet_cli.config.task_names import MODEL_KINDS
from mnasnet_cli.errors import CheckpointError
from mnasnet_cli.inference.manifest import FORMATS, MANIFEST_FILE, manifest_path, read_manifest
from mnasnet_cli.inference.runner import SUFFIXES, detect_model_format, is_run
from mnasnet_cli.inference.verification import verify_artifact, verify_export


def is_artifact(path: Path) -> bool:
    """Return whether the path is an exported model, or the folder of an export."""
    if path.is_dir() and _formats_in(path) and not is_run(path):
        return True
    try:
        format, place = detect_model_format(str(path))
    except CheckpointError:
        return path.suffix in SUFFIXES  # whoever names such a file means an artifact
    return format != "checkpoint" and (place.exists() or format == "slim-checkpoint")


def describe_artifact(path: Path) -> dict[str, Any]:
    """Return the manifest of an artifact and the size of its files; for an export's folder, those of each artifact.

    Raises:
      CheckpointError: it has no manifest.
    """
    inside = _formats_in(path)
    if inside:
        return {
            "what": "export",
            "path": str(path),
            "artifacts": [describe_artifact(path / format) for format in inside],
        }
    _, place = detect_model_format(str(path))
    manifest = read_manifest(place)
    verify_artifact(place)
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


def verify_artifacts(path: Path) -> int:
    """Compare all files of an artifact, or of all in the folder of an export, with their manifest; return their number.

    Raises:
      CheckpointError: a file is damaged or missing; the message names it.
    """
    inside = _formats_in(path)
    if inside:
        return sum(verify_artifacts(path / format) for format in inside)
    _, place = detect_model_format(str(path))
    return verify_export(place)


def _formats_in(folder: Path) -> list[str]:
    """Return the formats that an export has written below its folder."""
    return [format for format in FORMATS if (folder / format / MANIFEST_FILE).is_file()]
