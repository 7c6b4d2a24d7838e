"""TensorBoard events."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import tensorflow as tf

from mnasnet_cli.runs.events import EventLog


def tags(folder: Path) -> list[tuple[str, int]]:
    [file] = folder.iterdir()
    events = tf.compat.v1.train.summary_iterator(str(file))
    return [(value.tag, event.step) for event in events for value in event.summary.value]


def test_writes_finite_scalars_and_images(tmp_path: Path) -> None:
    log = EventLog(tmp_path, writer=True)
    log.scalars("validation", {"top1": 0.5, "loss": math.nan}, step=3)
    log.images("augmented", np.zeros([2, 4, 4, 3], np.uint8), step=0)
    assert tags(tmp_path / "events/validation") == [("top1", 3)]
    assert tags(tmp_path / "events/train") == [("augmented", 0)]


def test_only_the_writer_writes(tmp_path: Path) -> None:
    EventLog(tmp_path, writer=False).scalars("train", {"loss": 1.0}, step=1)
    assert not list(tmp_path.iterdir())
