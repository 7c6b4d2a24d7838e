"""One way to run a model, whatever it was saved as; which of the formats it is shows here and nowhere else."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from mnasnet_cli.config.detection import DetectionConfig
from mnasnet_cli.config.task_names import TaskName
from mnasnet_cli.errors import CheckpointError, ConfigError
from mnasnet_cli.inference.manifest import FORMATS, MANIFEST_FILE, Manifest, read_manifest

SUFFIXES = {".tflite": "tflite", ".onnx": "onnx", ".pb": "frozen"}
SAVED_MODEL_FILE = "saved_model.pb"
# What is imported to run a format, TensorFlow where nothing is said: its memory is not the model's.
RUNTIMES = {"tflite": "ai_edge_litert.interpreter", "onnx": "onnxruntime"}


class Runner(Protocol):
    """A model that is ready to run. N images, S the side of the net's input in px, C classes, M places for boxes."""

    manifest: Manifest
    file_bytes: int
    """Size of its files; of a checkpoint, without the optimizer's."""
    detection: DetectionConfig | None
    """The settings that a detector's loss needs. Only checkpoints have them."""
    timing_note: str
    """What `repeated` leaves out of an inference, "" for nothing."""

    @property
    def format(self) -> str:
        """ "checkpoint" or one of `manifest.FORMATS`."""

    @property
    def task(self) -> TaskName: ...

    @property
    def image_size(self) -> int:
        """S."""

    def preprocess(self, encoded: bytes) -> np.ndarray:
        """An encoded JPEG or PNG as the net's input, float32 [S, S, 3]; DataError where it can't be decoded."""

    def predict_tensors(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Runs the net on preprocessed images, float32 [N, S, S, 3].

        Returns:
          of a classifier, logits float32 [N, C];
          of a detector, detection_boxes float32 [N, M, 4] (ymin, xmin, ymax, xmax in [0, 1] of the image), by falling
          detection_scores float32 [N, M], detection_classes int32 [N, M] (category ids), num_detections int32 [N];
          and where the raw heads are at hand together with the loss's settings, class_logits and box_deltas.
        """

    def repeated(self, images: np.ndarray) -> Callable[[], None]:
        """One inference on these images as a function, as a program would run it in a loop: for timing."""


def open_model(
    path: str, *, ema: bool = True, best: bool = False, image_size: int | None = None, threads: int | None = None
) -> Runner:
    """Opens a run directory, a checkpoint prefix or an exported artifact.

    Args:
      path: see `recognise`.
      ema: of a checkpoint, take the averaged weights where there are any.
      best: of a run directory, take the best checkpoint instead of the newest.
      image_size: side of the net's input, px, which only a checkpoint leaves open; None: its own.
      threads: of the processor; None: as many as there are cores. TensorFlow heeds it in a process that has not
        computed anything yet.

    Raises:
      CheckpointError: no model there, a damaged one, or one without its manifest.
      ConfigError: another image size than the artifact was made for.
      EnvironmentProblem: the library that runs the format is not installed.
    """
    form, place = recognise(path)
    if form == "checkpoint":
        from mnasnet_cli.inference.checkpoint import CheckpointRunner

        return CheckpointRunner(path, ema=ema, best=best, image_size=image_size, threads=threads)
    manifest = read_manifest(place)
    if form == "slim-checkpoint":
        raise CheckpointError(
            f"{path} is for TensorFlow 1 programs to start from; run what it was made of, {manifest.source}"
        )
    if image_size not in (None, manifest.image_size):
        raise ConfigError(
            f"{path} was exported for images of {manifest.image_size} px; for {image_size} px export it again, with "
            f"`mnasnet export --image-size {image_size}`"
        )
    if form == "tflite":
        from mnasnet_cli.inference.tflite import TfliteRunner

        return TfliteRunner(place, manifest, threads=threads)
    if form == "onnx":
        from mnasnet_cli.inference.onnx import OnnxRunner

        return OnnxRunner(place, manifest, threads=threads)
    from mnasnet_cli.inference.tensorflow_graph import FrozenRunner, SavedModelRunner

    kind = FrozenRunner if form == "frozen" else SavedModelRunner
    return kind(place, manifest, threads=threads)


def recognise(path: str) -> tuple[str, Path]:
    """Which format a MODEL argument has, and the file, folder or prefix that it means.

    A folder is a SavedModel, or one that holds versions of it, or one of those that an export made, or a run. The
    format is "saved-model", "frozen", "tflite" (quantized or not), "onnx", "slim-checkpoint" or "checkpoint", which is
    also the answer where there is nothing.

    Raises:
      CheckpointError: a file that is missing, or a folder with several artifacts.
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
    return ("slim-checkpoint" if slim else "checkpoint"), prefix


def is_run(folder: Path) -> bool:
    """Whether there are checkpoints in a folder; its exports may lie beside them."""
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
            return recognise(str(found[0]))
    inside = [name for name in FORMATS if (folder / name / MANIFEST_FILE).is_file()]
    if inside:
        listed = ", ".join(str(folder / name) for name in inside)
        raise CheckpointError(f"{folder} holds {len(inside)} exports; name one of them: {listed}")
    return "checkpoint", folder


def load_runtime(path: str) -> None:
    """Imports what runs this model, so that it can be told apart from the model itself; no matter if it is missing."""
    form, _ = recognise(path)
    with contextlib.suppress(ImportError):
        importlib.import_module(RUNTIMES.get(form, "tensorflow"))
