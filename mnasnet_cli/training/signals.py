"""SIGTERM and Ctrl-C as a request that the loop answers when its current call is done."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any

from mnasnet_cli.console import say
from mnasnet_cli.errors import Stopped, StoppedByUser


class StopRequest:
    """While entered, SIGTERM and SIGINT set `requested` instead of ending the process; a second SIGINT ends it."""

    def __init__(self) -> None:
        self.requested = False
        self._by_user = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        self._before = {signal.SIGTERM: signal.signal(signal.SIGTERM, self._request)}
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not of a shell's background job
            self._before[signal.SIGINT] = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def outcome(self, saved: str) -> Stopped:
        """What the loop ends with: by what it was stopped, and what was saved."""
        return StoppedByUser(f"interrupted; {saved}") if self._by_user else Stopped(f"stopped by SIGTERM; {saved}")

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.requested = self._by_user = True
        say("stopping, and saving a checkpoint; Ctrl-C again stops at once")
