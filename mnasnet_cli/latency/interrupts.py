"""Ctrl-C while other processes are started: a terminal sends it to all of them."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from multiprocessing import resource_tracker


@contextlib.contextmanager
def interrupts_kept_back() -> Iterator[None]:
    """Ctrl-C waits until a process has been started, and never reaches that process: its parent ends it.

    Else one that is still starting Python would print a traceback.
    """
    came: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        resource_tracker.ensure_running()  # the start would do it, and that unblocks the signal
        # A new program inherits what is blocked, but no handler; the handler is for other threads of this one.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    finally:
        signal.signal(signal.SIGINT, handler)
    if came:
        signal.raise_signal(signal.SIGINT)
