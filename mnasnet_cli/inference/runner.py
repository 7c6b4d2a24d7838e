"""Opens a model of any format. The rest of the code does not depend on the format."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from mnasnet_cli.config.detection import DetectionConfig
from mnasnet_cli.config.task_names import TaskName
from mnasnet_cli.errors import CheckpointError, ConfigError, missing_model
from mnasnet_cli.inference.manifest import FORMATS, MANIFEST_FILE, Manifest, read_manifest
from mnasnet_cli.inference.verification import verify_artifact

SUFFIXES = {".tflite": "tflite", ".onnx": "onnx", ".pb": "frozen"}
SAVED_MODEL_FILE = "saved_model.pb"
# The module that runs a format; TensorFlow for all others.
RUNTIMES = {"tflite": "ai_edge_litert.interpreter", "onnx": "onnxruntime"}


class Runner(Protocol):
    """A model that is ready to run.

    Symbols: N images, S side of the net's input in px, C classes, D features, M boxes of an image at most.
    """

    manifest: Manifest
    file_bytes: int
    """Size of the files; for a checkpoint, of the weights alone."""
    detection: DetectionConfig | None
    """The settings that a detector's loss needs. Only checkpoints have them."""
    timing_note: str
    """What the function of `inference_call` leaves out of an inference, or ""."""

    @property
    def format(self) -> str:
        """ "checkpoint" or one of `manifest.FORMATS`."""

    @property
    def task(self) -> TaskName: ...

    @property
    def image_size(self) -> int:
        """S."""

    def preprocess(self, encoded: bytes) -> np.ndarray:
        """Turn an encoded JPEG or PNG into the net's input, float32 [S, S, 3]; DataError if it can't be decoded."""

    def predict_tensors(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Run the net on preprocessed images, float32 [N, S, S, 3].

        Returns:
          for a classifier, logits float32 [N, C];
          for a detector, boxes by falling score: detection_boxes float32 [N, M, 4] (ymin, xmin, ymax, xmax in [0, 1]
          of the image), detection_scores float32 [N, M], detection_classes int32 [N, M] (category ids) and
          num_detections int32 [N]; a detector's checkpoint also returns class_logits and box_deltas.
        """

    def predict_with_features(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Run a classifier on preprocessed images, float32 [N, S, S, 3].

        Returns:
          logits float32 [N, C], and feature_map float32 [N, h, w, D], the last features before pooling.

        Raises:
          CheckpointError: the model is a detector, or an artifact, which has no such output.
        """

    def last_layer(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the weights [D, C] and biases [C] that turn a classifier's pooled features into logits.

        Raises:
          CheckpointError: as `predict_with_features`.
        """

    def inference_call(self, images: np.ndarray) -> Callable[[], None]:
        """Return a function that runs one inference on these images, for timing."""


def open_model(
    path: str, *, ema: bool = True, best: bool = False, image_size: int | None = None, threads: int | None = None
) -> Runner:
    """Open a run directory, a checkpoint prefix or an exported artifact.

    Args:
      path: see `detect_model_format`.
      ema: for a checkpoint, prefer the averaged weights.
      best: for a run directory, take the best checkpoint instead of the newest.
      image_size: side of the net's input, px; only a checkpoint can be opened at another size than its own.
      threads: number of CPU threads; None: one for each core. TensorFlow ignores it once it has computed something.

    Raises:
      CheckpointError: there is no model, it is damaged, or its manifest is missing.
      ConfigError: the artifact was exported for another image size.
      EnvironmentProblem: the library that runs the format is not installed.
    """
    format, place = detect_model_format(path)
    if format == "checkpoint":
        from mnasnet_cli.inference.checkpoint import CheckpointRunner

        return CheckpointRunner(path, ema=ema, best=best, image_size=image_size, threads=threads)
    manifest = read_artifact(format, place)
    if image_size not in (None, manifest.image_size):
        raise ConfigError(
            f"{path} was exported for images of {manifest.image_size} px; for {image_size} px export it again with "
            f"`mnasnet export --image-size {image_size}`"
        )
    if format == "tflite":
        from mnasnet_cli.inference.tflite import TfliteRunner

        return TfliteRunner(place, manifest, threads=threads)
    if format == "onnx":
        from mnasnet_cli.inference.onnx import OnnxRunner

        return OnnxRunner(place, manifest, threads=threads)
    from mnasnet_cli.inference.tensorflow_graph import FrozenRunner, SavedModelRunner

    kind = FrozenRunner if format == "frozen" else SavedModelRunner
    return kind(place, manifest, threads=threads)


def read_artifact(format: str, place: Path) -> Manifest:
    """Return the manifest of an exported model that this toolkit runs, whose files are whole.

    Args:
      format, place: see `detect_model_format`.

    Raises:
      CheckpointError: the manifest is missing, a file is damaged, or the format is for TensorFlow 1 programs.
    """
    manifest = read_manifest(place)
    verify_artifact(place)
    if format == "slim-checkpoint":
        raise CheckpointError(
            f"{place} is a checkpoint for TensorFlow 1 programs; use the model it was exported from, {manifest.source}"
        )
    return manifest


def detect_model_format(path: str) -> tuple[str, Path]:
    """Detect the format of a MODEL argument from its path.

    A folder may be a SavedModel, a folder with versions of a SavedModel, an export of one format, or a run.

    Returns:
      the format and the file, folder or prefix. The format is "saved-model", "frozen", "tflite" (quantized or not),
      "onnx", "slim-checkpoint" or "checkpoint".

    Raises:
      CheckpointError: there is no model, or a folder holds several artifacts.
    """
    place = Path(path)
    if place.is_dir():
        return _recognise_folder(place)
    if place.name == SAVED_MODEL_FILE:
        return "saved-model", place.parent
    if place.suffix in SUFFIXES:
        if not place.is_file():
            raise CheckpointError(f"no model at {path}: there is no such file")
        return SUFFIXES[place.suffix], place
    prefix = Path(path.removesuffix(".index"))
    slim = Path(f"{prefix}.index").is_file() and (prefix.parent / MANIFEST_FILE).is_file()
    if not Path(f"{prefix}.index").is_file():
        raise missing_model(path)
    return ("slim-checkpoint" if slim else "checkpoint"), prefix


def is_run(folder: Path) -> bool:
    """Return whether a folder is a run directory with checkpoints."""
    return any((folder / "checkpoints").glob("*.index"))


def _recognise_folder(folder: Path) -> tuple[str, Path]:
    if is_run(folder):
        return "checkpoint", folder
    if (folder / SAVED_MODEL_FILE).is_file():
        return "saved-model", folder
    versions = [child for child in folder.iterdir() if child.name.isdecimal() and (child / SAVED_MODEL_FILE).is_file()]
    if versions:
        return "saved-model", max(versions, key=lambda child: int(child.name))
    if (folder / MANIFEST_FILE).is_file():
        found = [file for file in sorted(folder.iterdir()) if file.suffix in (*SUFFIXES, ".index")]
        if len(found) == 1:
            return detect_model_format(str(found[0]))
    inside = [name for name in FORMATS if (folder / name / MANIFEST_FILE).is_file()]
    if inside:
        listed = ", ".join(str(folder / name) for name in inside)
        raise CheckpointError(f"{folder} holds {len(inside)} exports; name one of them: {listed}")
    return "checkpoint", folder


def import_runtime(path: str) -> None:
    """Import the library that runs this model, so that its memory is not counted as the model's."""
    format, _ = detect_model_format(path)
    with contextlib.suppress(ImportError):
        importlib.import_module(RUNTIMES.get(format, "tensorflow"))
