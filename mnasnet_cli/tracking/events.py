"""TensorBoard events of a run: one writer for training, one for validation, one for its settings."""

from __future__ import annotations

import contextlib
import math
import os
import platform
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from mnasnet_cli.config.schema import Config
from mnasnet_cli.errors import DataError
from mnasnet_cli.records.tfrecord import encode_record, read_records
from mnasnet_cli.system.files import append_atomically, make_folder, write_atomically
from mnasnet_cli.system.pictures import encode_quickly
from mnasnet_cli.tracking.precision_recall import Counts

FOLDER = "events"
VERSION = "brain.Event:2"  # the first record of a file says this
# The HPARAMS tab takes the folder of these for a run, and the folders below it for its metrics.
OF_THE_RUN = "."


class EventLog:
    """Writes to `events/` in the run directory; without `writer` it writes nothing.

    TensorFlow's own writer loses events on a full disk without an error. These are appended like the lines of metrics;
    each call raises EnvironmentProblem where that fails.
    """

    def __init__(self, run_dir: Path, *, writer: bool, step: int = 0):
        """Opens the events of a run that starts at `step`; later ones are dropped, for they come again."""
        self._files: dict[str, Path] = {}
        self._folder = run_dir / FOLDER if writer else None
        if self._folder is not None:
            drop_events(self._folder, after=step)

    def scalars(self, split: str, values: Mapping[str, float], step: int) -> None:
        """Write the finite ones of the values."""
        finite = {name: float(value) for name, value in values.items() if math.isfinite(value)}
        tensors = {name: tf.make_tensor_proto(value, tf.float32) for name, value in finite.items()}
        self._write(split, step, [_value(name, tensor, "scalars") for name, tensor in tensors.items()])

    def images(self, split: str, name: str, images: np.ndarray, step: int) -> None:
        """Write images [N, H, W, 3] uint8."""
        if self._folder is None:
            return
        height, width = images.shape[1:3]
        encoded = [encode_quickly(Image.fromarray(image)) for image in images]
        tensor = tf.make_tensor_proto([str(width).encode(), str(height).encode(), *encoded], tf.string)
        self._write(split, step, [_value(name, tensor, "images")])

    def precision_recall(self, name: str, counts: Counts, step: int) -> None:
        """Write a curve of the validation images for the PR CURVES tab."""
        from tensorboard.plugins.pr_curve import summary

        zeros = np.zeros_like(counts.correct)
        columns = (counts.correct, counts.wrong, zeros, counts.missed, counts.precision, counts.recall)
        self._write("validation", step, summary.raw_data_pb(name, *columns, num_thresholds=len(zeros)).value)

    def settings(self, config: Config, run_name: str) -> None:
        """Write the configuration, as text and for the HPARAMS tab."""
        from tensorboard.plugins.hparams import api
        from tensorboard.plugins.text.summary_v2 import text_pb

        text = text_pb("config.yaml", f"```yaml\n{config.to_yaml()}```")
        settings = api.hparams_pb(flat_settings(config), trial_id=run_name)
        self._write(OF_THE_RUN, 0, [*text.value, *settings.value])

    def end(self, step: int) -> None:
        """Tell the HPARAMS tab that the run is complete."""
        from tensorboard.plugins.hparams import api_pb2
        from tensorboard.plugins.hparams.summary import session_end_pb

        self._write(OF_THE_RUN, step, session_end_pb(api_pb2.STATUS_SUCCESS).value)

    def _write(self, split: str, step: int, values: Iterable[Any]) -> None:
        """Append a summary of these values, messages of TensorFlow or of TensorBoard, to the file of a split."""
        own = [tf.compat.v1.Summary.Value.FromString(value.SerializeToString()) for value in values]
        if self._folder is None or not own:
            return
        now = time.time()
        events = [tf.compat.v1.Event(wall_time=now, step=step, summary=tf.compat.v1.Summary(value=own))]
        if split not in self._files:
            make_folder(self._folder / split)
            # TensorBoard reads the files of a folder in the order of their names.
            name = f"events.out.tfevents.{now:.6f}.{platform.node()}.{os.getpid()}"
            self._files[split] = self._folder / split / name
            events.insert(0, tf.compat.v1.Event(wall_time=now, file_version=VERSION))
        append_atomically(self._files[split], b"".join(encode_record(event.SerializeToString()) for event in events))


def _value(name: str, tensor: Any, plugin: str) -> Any:
    """Return a tensor under a tag, for one of TensorBoard's plugins."""
    metadata = tf.compat.v1.SummaryMetadata()
    metadata.plugin_data.plugin_name = plugin
    return tf.compat.v1.Summary.Value(tag=name, tensor=tensor, metadata=metadata)


def flat_settings(config: Config) -> dict[str, bool | int | float | str]:
    """Return dotted key → value of all settings; lists and null as text."""

    def flatten(tree: Mapping[str, object], prefix: str) -> dict[str, bool | int | float | str]:
        flat: dict[str, bool | int | float | str] = {}
        for name, value in tree.items():
            if isinstance(value, Mapping):
                flat |= flatten(value, f"{prefix}{name}.")
            else:
                flat[prefix + name] = value if isinstance(value, bool | int | float | str) else str(value)
        return flat

    return flatten(config.comparable(), "")


def drop_events(folder: Path, *, after: int) -> None:
    """Remove the events of steps after `after`, at 0 all events, and the mark of a complete run."""
    for path in sorted(folder.rglob("events.out.tfevents.*")):
        if after == 0:
            path.unlink()
            continue
        found: list[bytes] = []
        with contextlib.suppress(DataError):  # the last event of a process that was killed may be cut short
            found.extend(read_records(path))  # keeps what came before the damage
        kept = [data for data in found if _stays(data, after)]
        if len(kept) == len(found):
            continue
        write_atomically(path, b"".join(map(encode_record, kept)))


def _stays(data: bytes, after: int) -> bool:
    event = tf.compat.v1.Event.FromString(data)
    ended = any(value.tag == "_hparams_/session_end_info" for value in event.summary.value)
    return event.step <= after and not ended
