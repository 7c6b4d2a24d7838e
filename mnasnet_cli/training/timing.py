"""The time that a run has taken, its speed, and the time that is left."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator


class Timer:
    """The clock of a run: everything between the start of the command and its end, over all sessions.

    It starts when it is made, so make it first. It also measures images per second, and estimates the time left.

    Attributes:
      last_seconds: of the last measured block.
    """

    def __init__(self, age: float = 0.0) -> None:
        """Start the clock `age` seconds ago."""
        self._began, self._cpu_began = time.monotonic() - age, time.process_time()
        self._earlier_seconds, self._earlier_cpu_seconds = 0.0, 0.0
        self.last_seconds = 0.0
        self._recent_seconds, self._recent_images = 0.0, 0
        self._compiled = False
        self._step_seconds, self._step_images = 0.0, 0  # of this session, without its first call, which compiles
        self._epoch_end_seconds, self._epoch_ends = 0.0, 0

    def add_earlier(self, seconds: float, cpu_seconds: float) -> None:
        """Add the time of the earlier sessions of a resumed run."""
        self._earlier_seconds, self._earlier_cpu_seconds = seconds, cpu_seconds

    @property
    def seconds(self) -> float:
        """The time since the command started, and that of the earlier sessions."""
        return self._earlier_seconds + time.monotonic() - self._began

    @property
    def cpu_seconds(self) -> float:
        """The time of all cores in the same period."""
        return self._earlier_cpu_seconds + time.process_time() - self._cpu_began

    @contextlib.contextmanager
    def measure_steps(self, images: int) -> Iterator[None]:
        """Measure a call of training steps with this number of images."""
        with self.measure():
            yield
        self._recent_seconds += self.last_seconds
        self._recent_images += images
        if self._compiled:
            self._step_seconds += self.last_seconds
            self._step_images += images
        self._compiled = True

    @contextlib.contextmanager
    def measure_epoch_end(self) -> Iterator[None]:
        """Measure what follows the steps of an epoch: evaluation, plots and saving."""
        began = time.monotonic()
        yield
        self._epoch_end_seconds += time.monotonic() - began
        self._epoch_ends += 1

    @contextlib.contextmanager
    def measure(self) -> Iterator[None]:
        """Measure the block for `last_seconds`."""
        began = time.monotonic()
        yield
        self.last_seconds = time.monotonic() - began

    def images_per_second(self) -> float:
        """Return the training speed since the previous call. Evaluations do not count."""
        rate = self._recent_images / max(self._recent_seconds, 1e-9)
        self._recent_seconds, self._recent_images = 0.0, 0
        return rate

    def seconds_left(self, images: int, epoch_ends: int) -> float:
        """Return the time until the end of the run, from the mean times of this session.

        Args:
          images: training images that are left.
          epoch_ends: epochs that have not ended. Before the first one has, their time is unknown and counts as 0.

        Returns:
          seconds; NaN as long as the speed is unknown.
        """
        if not self._step_images:
            return math.nan
        left = images * self._step_seconds / self._step_images
        return left + epoch_ends * self._epoch_end_seconds / max(self._epoch_ends, 1)
