"""Checksums of artifacts: written into the manifest, and looked at whenever an artifact is opened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mnasnet_cli.errors import CheckpointError
from mnasnet_cli.inference.manifest import FileSum, manifest_path
from mnasnet_cli.system.documents import read_sound_json
from mnasnet_cli.system.files import sha256_of
from mnasnet_cli.system.relative_paths import RelativePath

_REMEDY = "export the model again with `mnasnet export`, or copy the file from a backup"


@dataclass(frozen=True)
class _Stored:
    checksums: Mapping[RelativePath, FileSum] = field(default_factory=dict)


def checksums_of(folder: Path, names: Iterable[str]) -> dict[str, FileSum]:
    """Return the size and the SHA-256 of files by their paths below a folder, as a manifest holds them."""
    return {name: FileSum((folder / name).stat().st_size, sha256_of(folder / name)) for name in names}


def _read_checksums(artifact: Path) -> Mapping[str, FileSum]:
    stored = read_sound_json(manifest_path(artifact), _Stored)
    return stored.checksums if stored else {}


def verify_artifact(artifact: Path) -> None:
    """Compare the files of a model with its manifest; nothing else that was exported beside it.

    An artifact without a manifest, or one of an earlier version, whose manifest has no checksums, is not compared.

    Args:
      artifact: a file, a SavedModel's folder under any name, or a slim checkpoint's prefix.

    Raises:
      CheckpointError: a file is damaged; the message names it.
    """
    for name, expected in _read_checksums(artifact).items():
        file = _file_of(artifact, name)
        if file is not None and file.is_file():
            _compare(file, expected)


def verify_export(artifact: Path) -> int:
    """Compare all files that were exported together, also those that no command opens; return their number.

    Raises:
      CheckpointError: a file is damaged or missing; the message names it.
    """
    checksums = _read_checksums(artifact)
    for name, expected in checksums.items():
        file = manifest_path(artifact).parent / name
        if not file.is_file():
            file = _file_of(artifact, name) or file
        if not file.is_file():
            raise CheckpointError(f"{file} is missing; {_REMEDY}")
        _compare(file, expected)
    return len(checksums)


def _file_of(artifact: Path, name: str) -> Path | None:
    """Return the file of this name if it belongs to an artifact. A SavedModel's version may be another."""
    if artifact.is_dir():
        parts = Path(name).parts
        return artifact.joinpath(*(parts[1:] or parts))
    belongs = name == artifact.name or name.startswith(f"{artifact.name}.")
    return artifact.with_name(name) if belongs else None


def _compare(file: Path, expected: FileSum) -> None:
    size = file.stat().st_size
    if size != expected.bytes:
        reason = f"it has {size:,} bytes, expected {expected.bytes:,}"
    elif (found := sha256_of(file)) != expected.sha256:
        reason = f"its SHA-256 is {found[:12]}…, expected {expected.sha256[:12]}…"
    else:
        return
    raise CheckpointError(f"{file} is damaged or was changed after the export: {reason}; {_REMEDY}")
