"""The time that a run has taken, and its speed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any


class Timer:
    """Adds up the time of training and evaluation over all processes of a run, and measures images per second.

    Attributes:
      seconds, cpu_seconds: the total so far.
      last_seconds: of the last measured block.
    """

    def __init__(self, seconds: float = 0.0, cpu_seconds: float = 0.0):
        self.seconds, self.cpu_seconds, self.last_seconds = seconds, cpu_seconds, 0.0
        self._recent_seconds, self._recent_images = 0.0, 0

    @classmethod
    def resume(cls, metrics: list[dict[str, Any]]) -> Timer:
        """Return a timer that continues from the last line of a run's metrics."""
        last = metrics[-1] if metrics else {}
        return cls(last.get("seconds", 0.0), last.get("cpu_seconds", 0.0))

    @contextlib.contextmanager
    def measure(self, images: int = 0) -> Iterator[None]:
        """Add the time of the block; `images` is the number of training images in it."""
        wall, cpu = time.monotonic(), time.process_time()
        yield
        self.last_seconds = time.monotonic() - wall
        self.seconds += self.last_seconds
        self.cpu_seconds += time.process_time() - cpu
        if images:
            self._recent_seconds += self.last_seconds
            self._recent_images += images

    def images_per_second(self) -> float:
        """Return the training speed since the previous call."""
        rate = self._recent_images / max(self._recent_seconds, 1e-9)
        self._recent_seconds, self._recent_images = 0.0, 0
        return rate
