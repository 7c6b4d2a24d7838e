"""`manifest.json`, which lies beside every artifact: the model, its preprocessing, its postprocessing, its labels.

A program needs only an artifact and its manifest. This module does not import TensorFlow.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mnasnet_cli.config.pre_postprocessing import Postprocessing, Preprocessing
from mnasnet_cli.config.task_names import MODEL_KINDS, TaskName, parse_task
from mnasnet_cli.errors import CheckpointError
from mnasnet_cli.system.files import write_atomically

MANIFEST_FILE = "manifest.json"
FORMATS = ("saved-model", "frozen", "tflite", "tflite-fp16", "tflite-int8", "onnx", "slim-checkpoint", "web")


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
    signature: Mapping[str, Any] = field(default_factory=dict)
    """Inputs and outputs: name → {"dtype", "shape"}; for a SavedModel, by signature."""
    parity: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    """Paths of the artifact's files below the manifest's folder."""
    mediapipe: Mapping[str, Any] = field(default_factory=dict)
    """For TFLite files, the metadata for MediaPipe Tasks inside them; see docs/reference/manifest.md."""
    notes: tuple[str, ...] = ()
    """Changes that were made to the net for this format."""

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
        return parse_manifest(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            f"{artifact} has no {MANIFEST_FILE} ({path} is missing), so its input and its labels are unknown; copy the "
            "manifest together with the artifact, or export the model again with `mnasnet export`"
        ) from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        reason = str(error) if not isinstance(error, KeyError) else f"no {error}"
        raise CheckpointError(
            f"{path} is not a valid manifest ({reason}); export the model again with `mnasnet export`"
        ) from error


def parse_manifest(text: str) -> Manifest:
    """Read what `Manifest.to_json` wrote.

    Raises:
      ValueError, TypeError, KeyError, AttributeError: the text is not a manifest.
    """
    tree = json.loads(text)
    if not isinstance(tree, dict):
        raise ValueError("it holds no JSON object")
    task = parse_task(tree["kind"])
    if not isinstance(tree["format"], str):
        raise ValueError(f"unknown format {tree['format']!r}")
    post = tree["postprocessing"]
    if (post is None) != (task == "classification"):
        raise ValueError(f"a {tree['kind']} with postprocessing {post!r}")
    known = {item.name for item in dataclasses.fields(Manifest)}
    values = {name: value for name, value in tree.items() if name in known}
    values["task"] = task
    values.setdefault("notes", ())  # missing in manifests of older versions
    for name in ("labels", "names", "files", "notes"):
        values[name] = tuple(values[name])
    values["preprocessing"] = Preprocessing.parse(tree["preprocessing"], task)
    values["postprocessing"] = None if post is None else Postprocessing.parse(post)
    return Manifest(**values)


def read_settings(artifact: Path, formats: Collection[str]) -> dict[str, dict[str, Any]]:
    """Read the preprocessing and the net of an export of these formats; `mnasnet import` needs them.

    Returns:
      "preprocessing" (the fields of `Preprocessing` that are not None) and "net" (the section `model.net`); {} if there
      is no manifest of ours. Weights can be imported without one.
    """
    try:
        tree = json.loads(manifest_path(artifact).read_text(encoding="utf-8"))
        if tree["format"] not in formats:
            return {}
        preprocessing = Preprocessing.parse(tree["preprocessing"], parse_task(tree["kind"])).to_dict()
        net = dict(tree.get("net") or {})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
    return {"preprocessing": {key: value for key, value in preprocessing.items() if value is not None}, "net": net}
