"""Reads the weights of checkpoints, and their information about the net."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Required

import numpy as np
import tensorflow as tf
from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from mnasnet_cli.checkpoints.format import AVERAGED_WEIGHTS, INFO, MODEL_WEIGHTS, STEP, value_key, variable_name
from mnasnet_cli.config.distillation import TeacherRecord
from mnasnet_cli.config.net_table import NetTable
from mnasnet_cli.config.pre_postprocessing import Preprocessing
from mnasnet_cli.config.task_names import TaskName, parse_task
from mnasnet_cli.errors import CheckpointError, first_line
from mnasnet_cli.system.documents import Unreadable, parse_json, validate
from mnasnet_cli.system.plain_paths import plain_prefix

# TensorFlow raises these for files that are damaged or don't fit; for example an IndexError for a truncated file.
UNREADABLE = (tf.errors.OpError, AssertionError, ValueError, RuntimeError, IndexError, KeyError)


_INFO_NAME = "the information about the net"


@with_config(ConfigDict(extra="allow"))
class StoredInfo(TypedDict, total=False):
    """See `modules.info.model_info`."""

    task: Required[str]
    variant: Required[str]
    width: Required[Annotated[float, Field(gt=0)]]
    labels: Required[list[str]]
    names: list[str]
    net: dict[str, Any] | None
    table: dict[str, Any] | None
    """Of a net of one's own; see `config.net_table`."""
    preprocessing: dict[str, Any]
    detection: dict[str, Any] | None
    source: dict[str, Any] | None
    teacher: TeacherRecord


@dataclass(frozen=True)
class CheckpointContents:
    """A net's weights from a checkpoint."""

    prefix: str
    step: int
    info: dict[str, Any]
    """See `modules.info.model_info`."""
    weights: dict[str, np.ndarray]
    averaged: bool
    """Whether these are the exponential moving averages."""

    @property
    def task(self) -> TaskName:
        return parse_task(self.info["task"])

    @property
    def preprocessing(self) -> Preprocessing:
        """The preprocessing that the net was evaluated with."""
        return Preprocessing.parse(self.info["preprocessing"], self.task)

    @property
    def weights_sha256(self) -> str:
        """SHA-256 in hex of the weights: names, types, shapes and values, whatever their order and their file."""
        digest = hashlib.sha256()
        for name, value in sorted(self.weights.items()):
            digest.update(f"{name} {value.dtype} {value.shape}\n".encode())
            digest.update(np.ascontiguousarray(value).tobytes())
        return digest.hexdigest()


def read_checkpoint(prefix: str, *, ema: bool = True) -> CheckpointContents:
    """Read the weights by their slim names: the averaged ones if there are any, unless `ema` is False.

    Raises:
      CheckpointError: the checkpoint is damaged, or another program wrote it.
    """
    with _open_own(prefix) as reader:
        keys = reader.get_variable_to_shape_map()
        averaged = ema and any(variable_name(AVERAGED_WEIGHTS, key) for key in keys)
        folder = AVERAGED_WEIGHTS if averaged else MODEL_WEIGHTS
        names = {key: variable_name(folder, key) for key in keys}
        weights = {name: reader.get_tensor(key) for key, name in names.items() if name}
        step = int(reader.get_tensor(value_key(STEP)))
        return CheckpointContents(prefix, step, _parse_info(prefix, reader), weights, averaged)


def read_info(prefix: str) -> dict[str, Any]:
    """Read what a checkpoint stores about its net; see `modules.info.model_info`.

    Raises:
      CheckpointError: the checkpoint is damaged, or another program wrote it.
    """
    with _open_own(prefix) as reader:
        return _parse_info(prefix, reader)


def read_all(prefix: str) -> None:
    """Read all tensors, so that TensorFlow compares their checksums.

    Raises:
      CheckpointError: the checkpoint is damaged, or another program wrote it.
    """
    with _open_own(prefix) as reader:
        for key in reader.get_variable_to_shape_map():
            reader.get_tensor(key)


def _parse_info(prefix: str, reader: Any) -> dict[str, Any]:
    """Return the information about the net, with today's name of the task."""
    stored = reader.get_tensor(value_key(INFO))
    try:
        info = validate(parse_json(stored, _INFO_NAME), StoredInfo, _INFO_NAME)
        task = parse_task(info["task"])
        if "preprocessing" in info:
            Preprocessing.parse(info["preprocessing"], task)
        if info.get("table") is not None:
            validate(info["table"], NetTable, "its table of the net")
    except (Unreadable, ValueError) as error:
        raise CheckpointError(f"{prefix} was written by another version of mnasnet, or is damaged: {error}") from None
    return {**info, "task": task}


@contextlib.contextmanager
def open_checkpoint(prefix: str) -> Iterator[Any]:
    """Yield TensorFlow's reader of a checkpoint, whatever characters its path holds. Raises UNREADABLE."""
    with plain_prefix(prefix) as plain:
        yield tf.train.load_checkpoint(plain)


@contextlib.contextmanager
def _open_own(prefix: str) -> Iterator[Any]:
    try:
        with open_checkpoint(prefix) as reader:
            if value_key(INFO) not in reader.get_variable_to_shape_map():
                raise CheckpointError(
                    f"{prefix} was not written by mnasnet; convert weights of other programs with `mnasnet import`"
                )
            yield reader
    except UNREADABLE as error:
        raise CheckpointError(f"{prefix} is not a complete checkpoint: {first_line(error)}") from error
