"""Run tasks on worker processes: light to start, quick to stop, and never waiting for a worker that has died.

Python's own executors start management threads, keep every pending task as an object, and take a killed worker for a
broken pool without saying which. Here the parent hands out one task at a time over a pipe for each worker.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any, cast

from mnasnet_cli.errors import EnvironmentProblem, MnasnetError, Stopped

REPORT_SECONDS = 0.25
STOP_SECONDS = 10.0  # how long a worker may take to remove its unfinished file
AHEAD = 2  # tasks given to a worker at once: it never waits for the parent
SIGNALS = (signal.SIGINT, signal.SIGTERM)

Report = Callable[[int], None]
Task = tuple[Any, ...]


def default_workers() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start_method() -> str:
    """Choose fork where it is safe: it starts in a millisecond and shares the list of files.

    A process with threads may be forked in the midst of a lock, and macOS's libraries don't bear a fork: spawn there.
    """
    safe = sys.platform == "linux" and threading.active_count() == 1 and "tensorflow" not in sys.modules
    return "fork" if safe else "spawn"


def run_tasks(
    function: Callable[[Any, Task, Report], Any],
    shared: Any,
    tasks: Sequence[Task],
    *,
    workers: int,
    on_result: Callable[[Any], None],
    on_progress: Report = lambda done: None,
) -> None:
    """Call `function(shared, task, report)` for each task on `workers` processes; results come in any order.

    Args:
        function: a module's function; it calls `report(n)` with what it has done of the task so far.
        shared: given to each worker once.
        on_result, on_progress: called here. on_progress gets the sum over all tasks.

    Raises what a task raised (others are stopped then), or EnvironmentProblem where a worker was killed.
    """
    context: Any = multiprocessing.get_context(_start_method())
    forked = context.get_start_method() == "fork"
    crew: dict[Connection, Any] = {}
    # A worker must not meet a signal before it has handlers of its own: a forked one still has those of the parent.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        for _ in range(min(workers, len(tasks))):
            ours, theirs = context.Pipe()
            inherited = [*crew, ours] if forked else []
            process = context.Process(target=_serve, args=(function, shared, theirs, inherited), daemon=True)
            process.start()
            theirs.close()
            crew[ours] = process
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _feed(crew, tasks, on_result, on_progress)
    except BaseException:
        _stop(crew)
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    for connection, process in crew.items():
        connection.close()
        process.join()


def _feed(
    crew: dict[Connection, Any], tasks: Sequence[Task], on_result: Callable[[Any], None], on_progress: Report
) -> None:
    waiting = iter(tasks)
    open_tasks = dict.fromkeys(crew, 0)
    running = dict.fromkeys(crew, 0)  # what each worker has reported of its present task
    finished = 0

    def give(connection: Connection) -> None:
        task = next(waiting, None)
        if task is not None:
            open_tasks[connection] += 1
            with contextlib.suppress(BrokenPipeError):  # its death shows at the next recv
                connection.send(task)

    for connection in list(crew) * AHEAD:
        give(connection)
    on_progress(0)
    while any(open_tasks.values()):
        for connection in cast(list[Connection], wait([c for c, count in open_tasks.items() if count])):
            try:
                kind, value, done = connection.recv()
            except (EOFError, ConnectionError):
                raise _death(crew[connection]) from None
            running[connection] = done
            if kind == "error":
                raise value
            if kind == "result":
                open_tasks[connection] -= 1
                give(connection)
                finished, running[connection] = finished + done, 0
                on_result(value)
            on_progress(finished + sum(running.values()))


def _death(process: Any) -> EnvironmentProblem:
    process.join(STOP_SECONDS)
    code = process.exitcode
    how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    hint = ", perhaps for want of memory: try fewer --workers" if code == -signal.SIGKILL else ""
    return EnvironmentProblem(f"a worker process died ({how}{hint}); what is whole is kept: run again with --resume")


def _stop(crew: dict[Connection, Any]) -> None:
    for connection, process in crew.items():
        connection.close()  # one that waits for a task ends by that
        process.terminate()
    for process in crew.values():
        process.join(STOP_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()


def _serve(
    function: Callable[[Any, Task, Report], Any], shared: Any, connection: Connection, inherited: list[Connection]
) -> None:
    """Work until the parent closes its end: also when it was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent decides
    signal.signal(signal.SIGTERM, _leave)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    for other in inherited:
        other.close()
    last, so_far = time.monotonic(), 0

    def report(done: int) -> None:
        nonlocal last, so_far
        so_far, now = done, time.monotonic()
        if now - last > REPORT_SECONDS:
            last = now
            connection.send(("progress", None, done))

    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            task, so_far = connection.recv(), 0
            try:
                answer: tuple[str, Any] = ("result", function(shared, task, report))
            except (MnasnetError, OSError) as error:
                answer = ("error", error)
            except Exception:
                answer = ("error", RuntimeError(f"in a worker process:\n{traceback.format_exc()}"))
            connection.send((*answer, so_far))


def _leave(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not disturb the clean-up
    raise SystemExit(128 + number)


@contextlib.contextmanager
def stopped_by_sigterm(message: str) -> Iterator[None]:
    """Within the block, SIGTERM raises Stopped(message), so that files are cleaned up. Main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Stopped(message)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
