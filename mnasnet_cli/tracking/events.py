"""TensorBoard events of a run: one writer for training, one for validation, one for its settings."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from mnasnet_cli.config.schema import Config
from mnasnet_cli.errors import DataError
from mnasnet_cli.records.tfrecord import frame_record, read_records
from mnasnet_cli.system.files import replace_atomically
from mnasnet_cli.tracking.precision_recall import Counts

FOLDER = "events"
# The HPARAMS tab takes the folder of these for a run, and the folders below it for its metrics.
OF_THE_RUN = "."


class EventLog:
    """Writes to `events/` in the run directory; without `writer` it writes nothing."""

    def __init__(self, run_dir: Path, *, writer: bool, step: int = 0):
        """Opens the events of a run that starts at `step`; later ones are dropped, for they come again."""
        self._writers: dict[str, tf.summary.SummaryWriter] = {}
        self._folder = run_dir / FOLDER if writer else None
        if self._folder is not None:
            drop_events(self._folder, after=step)

    def scalars(self, split: str, values: Mapping[str, float], step: int) -> None:
        """Write the finite ones of the values."""
        with self._writing(split, step) as writes:
            for name, value in values.items() if writes else ():
                if math.isfinite(value):
                    tf.summary.scalar(name, value)

    def images(self, split: str, name: str, images: np.ndarray, step: int) -> None:
        """Write images [N, H, W, 3] uint8."""
        with self._writing(split, step) as writes:
            if writes:
                tf.summary.image(name, images, max_outputs=len(images))

    def precision_recall(self, name: str, counts: Counts, step: int) -> None:
        """Write a curve of the validation images for the PR CURVES tab."""
        from tensorboard.plugins.pr_curve import summary

        with self._writing("validation", step) as writes:
            if writes:
                zeros = np.zeros_like(counts.correct)
                columns = (counts.correct, counts.wrong, zeros, counts.missed, counts.precision, counts.recall)
                found = summary.raw_data_pb(name, *columns, num_thresholds=len(zeros))
                tf.summary.experimental.write_raw_pb(found.SerializeToString())

    def settings(self, config: Config, run_name: str) -> None:
        """Write the configuration, as text and for the HPARAMS tab."""
        from tensorboard.plugins.hparams import api

        with self._writing(OF_THE_RUN, 0) as writes:
            if writes:
                tf.summary.text("config.yaml", f"```yaml\n{config.to_yaml()}```")
                api.hparams(flat_settings(config), trial_id=run_name)

    def end(self, step: int) -> None:
        """Tell the HPARAMS tab that the run is complete."""
        from tensorboard.plugins.hparams import api_pb2
        from tensorboard.plugins.hparams.summary import session_end_pb

        with self._writing(OF_THE_RUN, step) as writes:
            if writes:
                ended = session_end_pb(api_pb2.STATUS_SUCCESS)
                tf.summary.experimental.write_raw_pb(ended.SerializeToString())

    @contextlib.contextmanager
    def _writing(self, split: str, step: int) -> Iterator[bool]:
        """Yield whether to write, with the split's writer as the default one."""
        if self._folder is None:
            yield False
            return
        if split not in self._writers:
            self._writers[split] = tf.summary.create_file_writer(str(self._folder / split))
        with self._writers[split].as_default(step=step):
            yield True
        self._writers[split].flush()


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

    return flatten(config.model_dump(mode="json"), "")


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
        with replace_atomically(path) as temporary, open(temporary, "wb") as file:
            for data in kept:
                header, footer = frame_record(data)
                file.write(header + data + footer)


def _stays(data: bytes, after: int) -> bool:
    event = tf.compat.v1.Event.FromString(data)
    ended = any(value.tag == "_hparams_/session_end_info" for value in event.summary.value)
    return event.step <= after and not ended
