"""Ctrl-C while child processes start. A terminal sends it to the parent and to all children."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from multiprocessing import resource_tracker


@contextlib.contextmanager
def defer_interrupts() -> Iterator[None]:
    """Delays Ctrl-C until the block ends, and blocks it in processes that start within the block.

    Without this, a child that is still starting Python prints a traceback. Its parent ends it instead.
    """
    received: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, frame: received.append(number))
    try:
        resource_tracker.ensure_running()  # starting it later, with the child, would unblock the signal
        # A child inherits the blocked signals but no handler. The handler is for other threads of this process.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    finally:
        signal.signal(signal.SIGINT, handler)
    if received:
        signal.raise_signal(signal.SIGINT)
