"""`manifest.json`, which lies beside every artifact: the model, its preprocessing, its postprocessing, its labels.

A program needs only an artifact and its manifest. This module does not import TensorFlow.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mnasnet_cli.config.distillation import TeacherRecord
from mnasnet_cli.config.net_table import NetTable
from mnasnet_cli.config.pre_postprocessing import Postprocessing, Preprocessing
from mnasnet_cli.config.task_names import MODEL_KINDS, TaskName, parse_task
from mnasnet_cli.errors import CheckpointError
from mnasnet_cli.system.documents import (
    JsonObject,
    Missing,
    Unreadable,
    parse_json,
    read_sound_json,
    read_text,
    validate,
)
from mnasnet_cli.system.files import write_atomically
from mnasnet_cli.system.relative_paths import RelativePath

MANIFEST_FILE = "manifest.json"
FORMATS = ("saved-model", "frozen", "tflite", "tflite-fp16", "tflite-int8", "onnx", "slim-checkpoint", "web")


@dataclass(frozen=True)
class FileSum:
    """What a file must be: its size in bytes, and its SHA-256 in hex."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """See `manifest.json` in docs/reference/manifest.md."""

    format: str
    """One of FORMATS, or "checkpoint"."""
    task: TaskName
    variant: str
    width: float
    labels: tuple[str, ...]
    """A classifier's class 0..C-1 (its synset); a detector's category id of class 1..K, as text."""
    names: tuple[str, ...]
    """The same classes in words."""
    preprocessing: Preprocessing
    postprocessing: Postprocessing | None
    """None for classifiers."""
    source: str
    """Prefix of the checkpoint."""
    step: int
    averaged: bool
    params: int | None = None
    """Trainable parameters; None in manifests of older versions."""
    multiply_adds: int | None = None
    """For one image of `image_size`."""
    net: Mapping[str, Any] = field(default_factory=dict)
    """Differences from the variant's table, as in the section `model.net` of a configuration."""
    table: Mapping[str, Any] | None = None
    """The table of a net of one's own; None for a built-in variant."""
    signature: Mapping[str, Any] = field(default_factory=dict)
    """Inputs and outputs: name → {"dtype", "shape"}; for a SavedModel, by signature."""
    parity: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    files: tuple[RelativePath, ...] = ()
    """Paths of the artifact's files below the manifest's folder."""
    checksums: Mapping[RelativePath, FileSum] = field(default_factory=dict)
    """Of each file by its path; see `inference.verification`. Empty in manifests of older versions."""
    mediapipe: Mapping[str, Any] = field(default_factory=dict)
    """For TFLite files, the metadata for MediaPipe Tasks inside them; see docs/reference/manifest.md."""
    notes: tuple[str, ...] = ()
    """Changes that were made to the net for this format."""
    teacher: TeacherRecord | None = None
    """The model that it learned from, if any."""

    @property
    def image_size(self) -> int:
        return self.preprocessing.image_size

    @property
    def category_ids(self) -> tuple[int, ...]:
        """The category ids of a detector's classes 1..K; empty for classifiers."""
        return self.postprocessing.category_ids if self.postprocessing else ()

    def to_json(self) -> str:
        tree = {
            **dataclasses.asdict(self),
            "kind": MODEL_KINDS[self.task],
            "image_size": self.image_size,
            "category_ids": list(self.category_ids),
        }
        return json.dumps(tree, indent=2, allow_nan=False) + "\n"

    def write(self, folder: Path) -> None:
        write_atomically(folder / MANIFEST_FILE, self.to_json())


@dataclass(frozen=True)
class _Settings:
    """What an import needs of a manifest, which may be one of another kind, such as that of a state dict."""

    format: str
    kind: Literal["classifier", "detector"]
    preprocessing: Mapping[str, Any]
    net: Mapping[str, Any] = field(default_factory=dict)
    table: NetTable | None = None


@dataclass(frozen=True)
class ExportedSettings:
    """The preprocessing and the net of an export."""

    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    """The fields of `Preprocessing` that are not None."""
    net: Mapping[str, Any] = field(default_factory=dict)
    """The section `model.net`."""
    table: NetTable | None = None
    """None for a built-in net."""


def manifest_path(artifact: Path) -> Path:
    """Return the path of an artifact's manifest: in its folder, or beside the version folder of a SavedModel."""
    folder = artifact if artifact.is_dir() else artifact.parent
    if (folder / MANIFEST_FILE).is_file() or not (folder / "saved_model.pb").is_file():
        return folder / MANIFEST_FILE
    return folder.parent / MANIFEST_FILE


def read_manifest(artifact: Path) -> Manifest:
    """Read the manifest of an artifact: a file, a SavedModel's folder, or a slim checkpoint's prefix.

    Raises:
      CheckpointError: there is no manifest, or it is not one of ours.
    """
    path = manifest_path(artifact)
    try:
        return parse_manifest(read_text(path), path)
    except Missing:
        raise CheckpointError(
            f"{artifact} has no {MANIFEST_FILE} ({path} is missing), so its input and its labels are unknown; copy the "
            "manifest together with the artifact, or export the model again with `mnasnet export`"
        ) from None
    except Unreadable as error:
        raise CheckpointError(
            f"{path} is not a valid manifest: it {error.reason}; export the model again with `mnasnet export`"
        ) from error


def parse_manifest(text: str, source: object = MANIFEST_FILE) -> Manifest:
    """Read what `Manifest.to_json` wrote. Keys of later versions are ignored.

    Raises:
      Unreadable: the text is not a manifest.
    """
    tree = validate(parse_json(text, source), JsonObject, source)
    try:
        task = parse_task(tree.get("kind"))
    except ValueError as error:
        raise Unreadable(source, f"is of an unknown kind ({error})") from None
    try:
        preprocessing = Preprocessing.parse(tree.get("preprocessing"), task)
    except Unreadable as error:
        raise Unreadable(source, f"holds a preprocessing that {error.reason}") from None
    if tree.get("table") is not None:
        validate(tree["table"], NetTable, f"the table in {source}")
    manifest = validate({**tree, "task": task, "preprocessing": preprocessing}, Manifest, source)
    if (manifest.postprocessing is None) != (task == "classification"):
        raise Unreadable(source, f"is of a {tree['kind']}, but its postprocessing is of the other kind")
    if len(manifest.names) != len(manifest.labels):
        raise Unreadable(source, f"has {len(manifest.labels):,} labels, but {len(manifest.names):,} names")
    if manifest.postprocessing and len(manifest.category_ids) != len(manifest.labels):
        raise Unreadable(source, f"has {len(manifest.labels):,} labels, but {len(manifest.category_ids):,} categories")
    return manifest


def read_settings(artifact: Path, formats: Collection[str]) -> ExportedSettings:
    """Read what `mnasnet import` needs of the manifest of an export of these formats.

    All is empty if there is no manifest of ours. Weights can be imported without one.
    """
    tree = read_sound_json(manifest_path(artifact), _Settings)
    if tree is None or tree.format not in formats:
        return ExportedSettings()
    try:
        preprocessing = Preprocessing.parse(tree.preprocessing, parse_task(tree.kind))
    except Unreadable:
        return ExportedSettings()
    known = {key: value for key, value in preprocessing.to_dict().items() if value is not None}
    return ExportedSettings(known, dict(tree.net), tree.table)
