"""The time that a run has taken."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any


class Clock:
    """Time spent on training and evaluation, in all processes of the run so far, and training's images per second."""

    def __init__(self, seconds: float = 0.0, cpu_seconds: float = 0.0):
        self.seconds, self.cpu_seconds = seconds, cpu_seconds
        self._recent_seconds, self._recent_images = 0.0, 0

    @classmethod
    def after(cls, lines: list[dict[str, Any]]) -> Clock:
        """Goes on from the last of a run's metrics."""
        last = lines[-1] if lines else {}
        return cls(last.get("seconds", 0.0), last.get("cpu_seconds", 0.0))

    @contextlib.contextmanager
    def running(self, images: int = 0) -> Iterator[None]:
        """Counts the time of the block; `images` is how many it trains on."""
        wall, cpu = time.monotonic(), time.process_time()
        yield
        self.last_seconds = time.monotonic() - wall
        self.seconds += self.last_seconds
        self.cpu_seconds += time.process_time() - cpu
        if images:
            self._recent_seconds += self.last_seconds
            self._recent_images += images

    def images_per_second(self) -> float:
        """Of training since the last question."""
        rate = self._recent_images / max(self._recent_seconds, 1e-9)
        self._recent_seconds, self._recent_images = 0.0, 0
        return rate
