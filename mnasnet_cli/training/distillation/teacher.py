"""The teacher of a run: found at its start, the same again on a resume, and asked in every step."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import tensorflow as tf

from mnasnet_cli.checkpoints.files import CHECKPOINT_FOLDER, list_checkpoints
from mnasnet_cli.checkpoints.reader import read_info
from mnasnet_cli.config.distillation import TeacherRecord
from mnasnet_cli.config.schema import Config
from mnasnet_cli.console import plural
from mnasnet_cli.data.preprocessing import preprocess_crops
from mnasnet_cli.errors import CheckpointError, ConfigError, MnasnetError
from mnasnet_cli.runs.run_files import read_environment
from mnasnet_cli.tasks.base import Task
from mnasnet_cli.tasks.classification import ClassificationTask
from mnasnet_cli.training.distillation.classes import matching_outputs
from mnasnet_cli.training.distillation.formats import FoundTeacher, find_model


class Teacher:
    """A model that is asked about the images of every step; see `tasks.base.Teacher`."""

    def __init__(self, found: FoundTeacher, task: ClassificationTask):
        """Builds the model; call it in the scope of the strategy."""
        self.record = found.record
        self._preprocessing = found.preprocessing
        self._outputs = outputs_for(found, task)
        self._answer = found.build(bfloat16=task.config.training.precision == "bfloat16")

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        logits = tf.cast(self._answer(preprocess_crops(images, self._preprocessing)), tf.float32)
        return tf.stop_gradient(tf.gather(logits, self._outputs, axis=1))


def find_teacher(asked: str | None, config: Config, run_dir: Path, *, fresh: bool) -> FoundTeacher | None:
    """Return the teacher of a run; None if it learns from the labels alone.

    A run that has a checkpoint keeps the teacher that it began with, wherever that lies now.

    Args:
      asked: the MODEL of `--teacher`; None: the one that the run remembers. Only classifiers have one.
      fresh: whether the run starts over.

    Raises:
      MnasnetError: there is no such model, it is no classifier, or not the one that the run began with.
    """
    if config.task != "classification":
        return None
    before = None if fresh else _recorded(run_dir)
    resumes = not fresh and bool(list_checkpoints(run_dir / CHECKPOINT_FOLDER))
    if before is None and resumes and asked is not None:
        raise ConfigError(
            f"{run_dir} began without a teacher, so --teacher {asked} can't join it; choose another --run-dir, or "
            "start over with --fresh, which moves the old run aside"
        )
    model = asked if asked is not None or before is None else before["model"]
    if model is None:
        _check_unused(config)
        return None
    same = resumes and before is not None and model == before["model"]
    size = config.data.image_size
    try:
        # A run directory means the checkpoint that was its newest when this run began.
        found = find_model(before["path"] if same and before else model, config.training.teacher_input, size)
    except CheckpointError as error:
        if not same or before is None:
            raise
        raise CheckpointError(
            f"the teacher that {run_dir} began with can't be opened ({error}); name where it is now with --teacher "
            f"MODEL (its weights have the SHA-256 {before['sha256'][:12]}…)"
        ) from error
    if found.task != "classification":
        raise ConfigError(f"--teacher {model} is a detector, expected a classifier; name another model")
    if resumes and before is not None and found.sha256 != before["sha256"]:
        raise CheckpointError(
            f"{found.path} is not the teacher that {run_dir} began with: its weights have the SHA-256 "
            f"{found.sha256[:12]}…, expected {before['sha256'][:12]}…; name the old one with --teacher MODEL, or start "
            "over with --fresh, which moves the old run aside"
        )
    return dataclasses.replace(found, model=model)


def outputs_for(found: FoundTeacher, task: ClassificationTask) -> np.ndarray:
    """Return the teacher's output for each class 0..C-1 of the records, int64 [C].

    Raises:
      ConfigError: the teacher lacks a class, or doesn't name its classes and has another number of them.
    """
    outputs = np.array(found.outputs, np.int64)
    records = str(task.records.directory)
    if found.labels:
        known, wanted = (found.labels, found.names), (task.labels, task.names)
        return outputs[matching_outputs(found.model, known, wanted, records)]
    if len(outputs) != len(task.labels):
        raise ConfigError(
            f"{found.model} has {len(outputs):,} outputs without names, but the records in {records} have "
            f"{plural(len(task.labels), 'class', 'classes')}; name the classes of the outputs, a line each, with "
            "--set training.teacher_input.labels=FILE"
        )
    return outputs


def learn_from(found: FoundTeacher | None, task: Task) -> None:
    """Build the teacher, if there is one, for the training steps of a task; call it in the scope of the strategy."""
    if found is not None and isinstance(task, ClassificationTask):
        task.teacher = Teacher(found, task)


def describe_teacher(found: FoundTeacher | None, task: Task) -> list[str]:
    """Return the lines that say who teaches, if anyone, and what is assumed of a file that does not say it.

    Raises:
      ConfigError: see `outputs_for`.
    """
    if found is None or not isinstance(task, ClassificationTask):
        return []
    outputs_for(found, task)
    training = task.config.training
    own, known = len(task.labels), len(found.outputs)
    classes = plural(own, "class", "classes") if own == known else f"{own:,} of its {known:,} classes"
    facts = ", ".join(filter(None, [found.net, f"{found.preprocessing.image_size} px", classes]))
    lines = [
        f"teacher: {found.model} ({facts}); weight {training.teacher_weight:g}, "
        f"temperature {training.teacher_temperature:g}"
    ]
    if found.foreign is None:
        return lines
    options, foreign = training.teacher_input, found.foreign
    assumed = [f"{foreign.layout}, RGB"]
    assumed += [] if options.mean else ["ImageNet's mean"]
    assumed += [] if options.deviation else ["ImageNet's deviation"]
    if not found.labels:
        assumed.append("classes in the order of the records")
    elif options.labels is None:
        assumed.append("the classes of ImageNet in the usual order")
    undone = "; it ends with softmax, which is undone" if foreign.gives_probabilities else ""
    return [
        *lines,
        f"{found.model} has no manifest; assumed: {', '.join(assumed)} (--set training.teacher_input.… changes it)"
        f"{undone}",
    ]


def _recorded(run_dir: Path) -> TeacherRecord | None:
    """Return the teacher that a run remembers: that of its checkpoints, at the place where it was found last."""
    noted = read_environment(run_dir).get("teacher")
    prefixes = list_checkpoints(run_dir / CHECKPOINT_FOLDER)
    for prefix in reversed(prefixes):
        try:
            saved: TeacherRecord | None = read_info(prefix).get("teacher")
        except MnasnetError:  # damaged: the run resumes from the one before it
            continue
        return noted if saved and noted and noted["sha256"] == saved["sha256"] else saved
    return None if prefixes else noted


def _check_unused(config: Config) -> None:
    """Raise ConfigError if settings are for a teacher that is not there."""
    default, training = type(config.training)(), config.training
    for key in ("teacher_weight", "teacher_temperature", "teacher_input"):
        if getattr(training, key) != getattr(default, key):
            raise ConfigError(f"training.{key} is set, but no teacher is named; add --teacher MODEL, or remove it")
