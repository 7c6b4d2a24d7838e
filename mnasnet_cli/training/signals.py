"""SIGTERM and Ctrl-C as a request to stop, which the training loop checks after each call of compiled steps."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any

from mnasnet_cli.console import say
from mnasnet_cli.errors import Stopped, StoppedByUser


class StopRequest:
    """Inside its `with` block, SIGTERM and SIGINT set `requested`. A second SIGINT ends the process."""

    def __init__(self) -> None:
        self.requested = False
        self._by_user = False
        self._handlers_before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        self._handlers_before = {signal.SIGTERM: signal.signal(signal.SIGTERM, self._on_sigterm)}
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # background jobs of a shell ignore SIGINT
            self._handlers_before[signal.SIGINT] = signal.signal(signal.SIGINT, self._on_sigint)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._handlers_before.items():
            signal.signal(number, handler)

    def error(self, saved: str) -> Stopped:
        """Return the error that ends the run; `saved` says what was saved and how to resume."""
        return StoppedByUser(f"interrupted; {saved}") if self._by_user else Stopped(f"stopped by SIGTERM; {saved}")

    def _on_sigterm(self, number: int, frame: FrameType | None) -> None:
        self.requested = True

    def _on_sigint(self, number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.requested = self._by_user = True
        say("stopping after a checkpoint is saved; press Ctrl-C again to stop at once")
