"""TensorBoard events of a run: one writer for training, one for validation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf


class EventLog:
    """Writes scalars and images to `events/` in the run directory; without `writer` it writes nothing."""

    def __init__(self, run_dir: Path, *, writer: bool):
        self._writers: dict[str, tf.summary.SummaryWriter] = {}
        self._folder = run_dir / "events" if writer else None

    def scalars(self, split: str, values: Mapping[str, float], step: int) -> None:
        """Write the finite ones of the values."""
        writer = self._writer(split)
        if writer is not None:
            with writer.as_default(step=step):
                for name, value in values.items():
                    if math.isfinite(value):
                        tf.summary.scalar(name, value)
            writer.flush()

    def images(self, name: str, images: np.ndarray, step: int) -> None:
        """Write images [N, H, W, 3] uint8."""
        writer = self._writer("train")
        if writer is not None:
            with writer.as_default(step=step):
                tf.summary.image(name, images, max_outputs=len(images))
            writer.flush()

    def _writer(self, split: str) -> tf.summary.SummaryWriter | None:
        if self._folder is None:
            return None
        if split not in self._writers:
            self._writers[split] = tf.summary.create_file_writer(str(self._folder / split))
        return self._writers[split]
