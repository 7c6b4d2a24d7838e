"""Teachers of every format: what they say of themselves, and their answers as a part of the training step."""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from mnasnet_cli.checkpoints.files import find_checkpoint
from mnasnet_cli.checkpoints.reader import read_checkpoint
from mnasnet_cli.config.distillation import TeacherInputConfig, TeacherRecord
from mnasnet_cli.config.pre_postprocessing import Preprocessing
from mnasnet_cli.config.task_names import TaskName
from mnasnet_cli.errors import CheckpointError, ConfigError
from mnasnet_cli.inference.foreign_onnx import ForeignOnnx, open_foreign_onnx
from mnasnet_cli.inference.manifest import manifest_path, read_manifest
from mnasnet_cli.inference.model import load_model
from mnasnet_cli.inference.runner import detect_model_format, open_model
from mnasnet_cli.inference.tensorflow_graph import FrozenRunner, SavedModelRunner
from mnasnet_cli.system.files import sha256_of
from mnasnet_cli.training.optimization.gradients import to_bfloat16
from mnasnet_cli.weights.class_lists import classifier_classes

Answer = Callable[[tf.Tensor], tf.Tensor]
"""From a net's input, float32 [N, S, S, 3], to logits [N, outputs]."""

IN_GRAPH = ("checkpoint", "saved-model", "frozen")
"""The formats that run inside of the training step; the others run in a library of their own, on the CPU."""


@dataclass(frozen=True)
class FoundTeacher:
    """A model that may teach, found but not built: TensorFlow has computed nothing yet."""

    path: str
    """Prefix of the checkpoint, or the artifact."""
    sha256: str
    """Of its weights."""
    format: str
    task: TaskName
    net: str
    """In words, such as "b1, width 0.5"; "" if unknown."""
    labels: tuple[str, ...]
    """Of its classes; empty if unknown."""
    names: tuple[str, ...]
    outputs: tuple[int, ...]
    """The output of each class. Output 0 of some nets is the background."""
    preprocessing: Preprocessing
    model: str = ""
    """The MODEL that the user named."""
    foreign: ForeignOnnx | None = None
    """If another program wrote it."""

    @property
    def record(self) -> TeacherRecord:
        """What a run remembers of it."""
        return {"model": self.model, "path": self.path, "sha256": self.sha256}

    def build(self, *, bfloat16: bool) -> Answer:
        """Return its answers; call it in the scope of the strategy.

        Args:
          bfloat16: compute a checkpoint's net in bfloat16, as the student.

        Raises:
          ConfigError: the training runs on a TPU, which can't call the library that runs this format.
        """
        if self.format == "checkpoint":
            return _checkpoint_answer(self.path, bfloat16=bfloat16)
        if self.format not in IN_GRAPH and tf.config.list_logical_devices("TPU"):
            raise ConfigError(
                f"{self.path} runs on the CPU, which a TPU can't ask within a step; name the checkpoint or the "
                "SavedModel of the teacher"
            )
        if self.foreign is not None:
            return _outside_answer(self.foreign.logits, len(self.outputs))
        runner = open_model(self.path)
        if isinstance(runner, SavedModelRunner | FrozenRunner):
            function = runner.function
            return lambda images: function(images)["logits"]
        return _outside_answer(lambda images: runner.predict_tensors(images)["logits"], len(self.outputs))


def find_model(model: str, options: TeacherInputConfig, training_size: int) -> FoundTeacher:
    """Find a model of any format. TensorFlow computes nothing: several processes may not have met yet.

    Args:
      options: what the user says of a file of another program.
      training_size: side of the training images, px: the input of a file of another program that takes any.

    Raises:
      CheckpointError, ConfigError, EnvironmentProblem: it can't teach; see `open_model` and `open_foreign_onnx`.
    """
    format, place = detect_model_format(model)
    if format == "onnx" and not _has_manifest(place):
        return _find_foreign(place, options, training_size)
    if unused := options.of_foreign_files:
        raise ConfigError(f"{', '.join(unused)} is for ONNX files of other programs, but {model} says it itself")
    return _find_checkpoint(model, options) if format == "checkpoint" else _find_artifact(format, place, options)


def _find_checkpoint(model: str, options: TeacherInputConfig) -> FoundTeacher:
    contents = read_checkpoint(find_checkpoint(model))
    labels = tuple(contents.info["labels"])
    preprocessing = contents.preprocessing
    if options.image_size is not None:
        preprocessing = dataclasses.replace(preprocessing, image_size=options.image_size)
    return FoundTeacher(
        contents.prefix, _sha256_of_weights(contents.weights), "checkpoint", contents.task,
        f"{contents.info['variant']}, width {contents.info['width']:g}", labels,
        tuple(contents.info.get("names") or labels), tuple(range(len(labels))), preprocessing,
    )  # fmt: skip


def _find_artifact(format: str, place: Path, options: TeacherInputConfig) -> FoundTeacher:
    manifest = read_manifest(place)
    if format == "slim-checkpoint":
        raise CheckpointError(
            f"{place} is a checkpoint for TensorFlow 1 programs; use the model it was exported from, {manifest.source}"
        )
    if options.image_size not in (None, manifest.image_size):
        raise ConfigError(
            f"{place} takes images of {manifest.image_size} px, not training.teacher_input.image_size="
            f"{options.image_size}; a checkpoint can be run at any size"
        )
    return FoundTeacher(
        str(place), _sha256_of_files(place), format, manifest.task, f"{manifest.variant}, width {manifest.width:g}",
        manifest.labels, manifest.names, tuple(range(len(manifest.labels))), manifest.preprocessing,
    )  # fmt: skip


def _find_foreign(place: Path, options: TeacherInputConfig, training_size: int) -> FoundTeacher:
    opened = open_foreign_onnx(place, options, training_size)
    labels: list[str] = []
    names: list[str] = []
    outputs = np.arange(opened.outputs)
    if options.labels is not None or opened.outputs in (1000, 1001):
        labels, names, outputs = classifier_classes(opened.outputs, Path(options.labels) if options.labels else None)
    preprocessing = Preprocessing(
        image_size=opened.image_size,
        antialias=True,
        mean=options.mean or Preprocessing.mean,
        deviation=options.deviation or Preprocessing.deviation,
    )
    return FoundTeacher(
        str(place), _sha256_of_files(place), "onnx", "classification", "", tuple(labels), tuple(names),
        tuple(map(int, outputs)), preprocessing, foreign=opened,
    )  # fmt: skip


def _has_manifest(file: Path) -> bool:
    """Whether a file has a manifest that is of this file, not of another one in the same folder."""
    return manifest_path(file).is_file() and file.name in (read_manifest(file).files or (file.name,))


def _sha256_of_weights(weights: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(weights.items()):
        digest.update(f"{name} {value.dtype} {value.shape}\n".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()


def _sha256_of_files(place: Path) -> str:
    if place.is_dir():
        root, files = place, list(place.rglob("*"))
    else:  # the weights of a large ONNX file lie beside it, for example in `model.onnx.data`
        root = place.parent
        files = [file for file in root.iterdir() if f"{file.name}.".startswith(f"{place.name}.")]
    if files == [place]:
        return sha256_of(place)
    lines = [f"{sha256_of(file)}  {file.relative_to(root)}\n" for file in sorted(files) if file.is_file()]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _checkpoint_answer(prefix: str, *, bfloat16: bool) -> Answer:
    net = load_model(prefix).model

    def answer(images: tf.Tensor) -> tf.Tensor:
        if not bfloat16:
            return net(images, is_training=False)
        weights = {name: to_bfloat16(name, weight) for name, weight in net.weights.items()}
        return net(tf.cast(images, tf.bfloat16), is_training=False, variables=weights)

    return answer


def _outside_answer(run: Callable[[np.ndarray], np.ndarray], outputs: int) -> Answer:
    lock = threading.Lock()  # the parts of a batch are computed side by side, and an interpreter is not for two threads

    def call(images: np.ndarray) -> np.ndarray:
        with lock:
            return run(images).astype(np.float32, copy=False)

    def answer(images: tf.Tensor) -> tf.Tensor:
        with tf.device("CPU:0"):
            logits = tf.numpy_function(call, [images], tf.float32, stateful=False)
        return tf.ensure_shape(logits, [images.shape[0], None])

    return answer
