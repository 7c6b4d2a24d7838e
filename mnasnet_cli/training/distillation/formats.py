"""Teachers of every format: what they say of themselves, and their answers as a part of the training step."""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from mnasnet_cli.checkpoints.files import find_checkpoint
from mnasnet_cli.checkpoints.reader import read_checkpoint
from mnasnet_cli.config.distillation import TeacherInputConfig, TeacherRecord
from mnasnet_cli.config.net_table import net_label
from mnasnet_cli.config.pre_postprocessing import Preprocessing
from mnasnet_cli.config.task_names import TaskName
from mnasnet_cli.errors import ConfigError
from mnasnet_cli.inference.foreign_onnx import ForeignOnnx, open_foreign_onnx
from mnasnet_cli.inference.manifest import manifest_path, read_manifest
from mnasnet_cli.inference.model import load_model
from mnasnet_cli.inference.runner import detect_model_format, open_model, read_artifact
from mnasnet_cli.inference.tensorflow_graph import FrozenRunner, SavedModelRunner
from mnasnet_cli.system.files import sha256_of
from mnasnet_cli.training.optimization.gradients import to_bfloat16
from mnasnet_cli.weights.class_lists import classifier_classes

Answer = Callable[[tf.Tensor], tf.Tensor]
"""From a net's input, float32 [N, S, S, 3], to logits [N, outputs]."""


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
    """In words, such as "b1, width 0.5" or "my-net (170d1eec), width 1"; "" if unknown."""
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

        Checkpoints, SavedModels and frozen graphs run inside of the training step; other formats in a library of their
        own, on the CPU.

        Args:
          bfloat16: compute a checkpoint's net in bfloat16, as the student.

        Raises:
          ConfigError: the training runs on a TPU, which can't call the library that runs this format.
        """
        if self.format == "checkpoint":
            return _checkpoint_answer(self.path, bfloat16=bfloat16)
        if self.foreign is not None:
            return _outside_answer(self.path, self.foreign.logits)
        runner = open_model(self.path)
        if isinstance(runner, SavedModelRunner | FrozenRunner):
            function = runner.function
            return lambda images: function(images)["logits"]
        return _outside_answer(self.path, lambda images: runner.predict_tensors(images)["logits"])


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
        raise ConfigError(
            f"{', '.join(unused)} is for ONNX files of other programs, but {model} knows its own preprocessing and "
            "classes; remove the setting"
        )
    return _find_checkpoint(model, options) if format == "checkpoint" else _find_artifact(format, place, options)


def _find_checkpoint(model: str, options: TeacherInputConfig) -> FoundTeacher:
    contents = read_checkpoint(find_checkpoint(model))
    labels = tuple(contents.info["labels"])
    preprocessing = contents.preprocessing
    if options.image_size is not None:
        preprocessing = dataclasses.replace(preprocessing, image_size=options.image_size)
    return FoundTeacher(
        path=contents.prefix,
        sha256=contents.weights_sha256,
        format="checkpoint",
        task=contents.task,
        net=f"{net_label(contents.info)}, width {contents.info['width']:g}",
        labels=labels,
        names=tuple(contents.info.get("names") or labels),
        outputs=tuple(range(len(labels))),
        preprocessing=preprocessing,
    )


def _find_artifact(format: str, place: Path, options: TeacherInputConfig) -> FoundTeacher:
    manifest = read_artifact(format, place)
    if options.image_size not in (None, manifest.image_size):
        raise ConfigError(
            f"{place} takes images of {manifest.image_size} px, not training.teacher_input.image_size="
            f"{options.image_size}; remove the setting, or name a checkpoint, which runs at any size"
        )
    return FoundTeacher(
        path=str(place),
        sha256=_sha256_of_files(place),
        format=format,
        task=manifest.task,
        net=f"{net_label(vars(manifest))}, width {manifest.width:g}",
        labels=manifest.labels,
        names=manifest.names,
        outputs=tuple(range(len(manifest.labels))),
        preprocessing=manifest.preprocessing,
    )


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
        path=str(place),
        sha256=_sha256_of_files(place),
        format="onnx",
        task="classification",
        net="",
        labels=tuple(labels),
        names=tuple(names),
        outputs=tuple(map(int, outputs)),
        preprocessing=preprocessing,
        foreign=opened,
    )


def _has_manifest(file: Path) -> bool:
    """Whether a file has a manifest that is of this file, not of another one in the same folder."""
    return manifest_path(file).is_file() and file.name in (read_manifest(file).files or (file.name,))


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


def _outside_answer(path: str, run: Callable[[np.ndarray], np.ndarray]) -> Answer:
    if tf.config.list_logical_devices("TPU"):
        raise ConfigError(
            f"{path} runs on the CPU, which a TPU can't ask within a step; name the checkpoint or the SavedModel of "
            "the teacher"
        )
    lock = threading.Lock()  # the parts of a batch are computed side by side, and an interpreter is not for two threads

    def call(images: np.ndarray) -> np.ndarray:
        with lock:
            return run(images).astype(np.float32, copy=False)

    def answer(images: tf.Tensor) -> tf.Tensor:
        with tf.device("CPU:0"):
            logits = tf.numpy_function(call, [images], tf.float32, stateful=False)
        return tf.ensure_shape(logits, [images.shape[0], None])

    return answer
