"""Short-lived processes: a task runs in one of its own, which ends with the task or with its parent.

TensorFlow's converter leaks memory, and a training leaves graphs behind; the end of a process frees both.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

from mnasnet_cli.errors import EnvironmentProblem, MnasnetError, first_line
from mnasnet_cli.system.workers import main_module_hidden

STOP_SECONDS = 120.0
"""A training that is stopped may take this long to save a checkpoint."""
_WATCH_SECONDS = 0.5
_POLL_SECONDS = 0.5


def run_in_process(
    function: Callable[..., Any], *arguments: Any, on_wait: Callable[[], None] = lambda: None, name: str = "a worker"
) -> Any:
    """Return what a module-level function returns in a new process, where it prints nothing.

    Args:
      on_wait: called every half second; an error that it raises stops the process with SIGTERM.
      name: of the process in messages.

    Raises the function's own MnasnetError, OSError or MemoryError; EnvironmentProblem if the process dies; RuntimeError
    with the traceback for a bug.
    """
    context: Any = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, os.getpid(), function, arguments))
    with main_module_hidden(), _interrupts_blocked():
        process.start()
    theirs.close()
    try:
        while not ours.poll(_POLL_SECONDS):
            on_wait()
        kind, value = ours.recv()
    except (EOFError, ConnectionError):
        process.join(_WATCH_SECONDS)
        raise EnvironmentProblem(_death(name, process)) from None
    except BaseException:
        process.terminate()
        process.join(STOP_SECONDS)
        raise
    finally:
        ours.close()
        if process.is_alive():
            process.join(STOP_SECONDS)
            process.kill()
            process.join()
    if kind == "error":
        raise value
    return value


def _death(name: str, process: Any) -> str:
    process.join(STOP_SECONDS)
    code = process.exitcode
    reason = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    if code == -signal.SIGKILL:
        reason += ", perhaps out of memory"
    return f"{name} ended with {reason}; the same command goes on"


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach: the parent stops them."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _serve(connection: Connection, parent: int, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Run in the process: call the function and send what it returns or raises."""
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()
    from mnasnet_cli.system.native_output import suppress_output
    from mnasnet_cli.system.tensorflow_start import prepare_tensorflow

    prepare_tensorflow()
    with suppress_output():
        try:
            answer: tuple[str, Any] = "result", function(*arguments)
        except (MnasnetError, OSError, MemoryError) as error:
            answer = "error", error
        except Exception as error:
            # The reason first: an internal error is told in one line, cut at its end.
            reason = f"{type(error).__name__}: {first_line(error)}, in a worker process"
            answer = "error", RuntimeError(f"{reason}:\n{traceback.format_exc()}")
    with contextlib.suppress(OSError):
        connection.send(answer)
    connection.close()


def _end_with_parent(parent: int) -> None:
    """End this process at once when its parent is gone, also if that was killed."""
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(1)
