"""Runs tasks on worker processes that start fast, stop fast, and are noticed when they die.

The executors of the standard library start management threads, and report a killed worker as a broken pool only. Here
the parent sends tasks to each worker over its own pipe.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import sys
import threading
import time
import traceback
import types
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any, NamedTuple, cast

from mnasnet_cli.errors import EnvironmentProblem, MnasnetError, Stopped

REPORT_SECONDS = 0.25  # minimum time between two progress messages of a worker
STOP_SECONDS = 10.0  # a worker may take this long to remove its unfinished file
QUEUED_TASKS = 2  # tasks that a worker has at once, so that it never waits for the parent
SIGNALS = (signal.SIGINT, signal.SIGTERM)

Report = Callable[[int], None]
Task = tuple[Any, ...]
Function = Callable[[Any, Any, Report], Any]


def run_tasks(
    function: Function,
    shared: Any,
    tasks: Sequence[Task],
    *,
    processes: int,
    on_result: Callable[[Any], None],
    on_progress: Report = lambda done: None,
    on_death: str = "run the command again",
) -> None:
    """Call `function(shared, task, report)` for each task on worker processes. Results arrive in any order.

    Args:
        function: a module-level function; it calls `report(n)` with what it has done of the task so far.
        shared: sent to each worker once.
        on_result: called in this process with each result.
        on_progress: called in this process with the sum of what is done of all tasks.
        on_death: what to do if a worker dies, for the message.

    Raises the first error of a task, after stopping the other workers. Raises EnvironmentProblem if a worker dies.
    """
    method = _start_method()
    workers: list[_Worker] = []
    try:
        # A forked worker has the parent's signal handlers until it sets its own.
        with _signals_blocked():
            for _ in range(min(processes, len(tasks))):
                workers.append(_Worker(method, function, shared, workers, on_death))
        _distribute(workers, tasks, on_result, on_progress)
        for worker in workers:
            worker.finish()
    except BaseException:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join_or_kill()
        raise


def _start_method() -> str:
    """Return "fork" if it is safe, else "spawn". A fork takes a millisecond and shares the list of files.

    Forking is not safe in a process with threads, which may hold locks, or on macOS, whose libraries do not support it.
    """
    safe = sys.platform == "linux" and threading.active_count() == 1 and "tensorflow" not in sys.modules
    return "fork" if safe else "spawn"


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    """Deliver SIGINT and SIGTERM only after the block."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@contextlib.contextmanager
def main_module_hidden() -> Iterator[None]:
    """Keep a spawned process from running the script of the user again: the functions of tasks are in modules."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


class _Message(NamedTuple):
    """A message of a worker. kind: "progress", "result" or "error". done: what is done of the current task."""

    kind: str
    value: Any
    done: int


class _Worker:
    """The parent's side of a worker process. queued: tasks without a result. done: progress of the current task."""

    def __init__(self, method: str, function: Function, shared: Any, others: Sequence[_Worker], on_death: str) -> None:
        self._on_death = on_death
        context: Any = multiprocessing.get_context(method)
        self.connection, child_end = context.Pipe()
        self.queued = self.done = 0
        # A forked worker closes its copies of the parent's ends. Otherwise nobody would see that the parent is gone.
        inherited = [worker.connection for worker in (*others, self)] if method == "fork" else []
        self._process = context.Process(target=_serve, args=(function, shared, child_end, inherited), daemon=True)
        with main_module_hidden():
            self._process.start()
        child_end.close()

    def send_next(self, tasks: Iterator[Task]) -> None:
        """Send the next task, if there is one."""
        task = next(tasks, None)
        if task is not None:
            self.queued += 1
            with contextlib.suppress(BrokenPipeError):  # the worker is dead: `receive` will raise
                self.connection.send(task)

    def receive(self) -> _Message:
        """Return the worker's next message. Raises EnvironmentProblem if the worker is dead."""
        try:
            message: _Message = self.connection.recv()
        except (EOFError, ConnectionError):
            raise self._death() from None
        self.done = message.done
        if message.kind == "result":
            self.queued -= 1
            self.done = 0
        return message

    def _death(self) -> EnvironmentProblem:
        self._process.join(STOP_SECONDS)
        code = self._process.exitcode
        reason = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        if code == -signal.SIGKILL:
            reason += ", perhaps out of memory"
        return EnvironmentProblem(f"a worker process died ({reason}); {self._on_death}")

    def finish(self) -> None:
        """Let the worker end, and wait for it."""
        self.connection.close()
        self._process.join()

    def terminate(self) -> None:
        """Ask the worker to end now: an idle worker sees the closed connection, a busy one gets SIGTERM."""
        self.connection.close()
        self._process.terminate()

    def join_or_kill(self) -> None:
        """Wait for a terminated worker, and kill it after STOP_SECONDS."""
        self._process.join(STOP_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _distribute(
    workers: Sequence[_Worker], tasks: Sequence[Task], on_result: Callable[[Any], None], on_progress: Report
) -> None:
    """Send all tasks to the workers and collect their results."""
    pending = iter(tasks)
    for _ in range(QUEUED_TASKS):
        for worker in workers:
            worker.send_next(pending)
    finished = 0
    on_progress(0)
    while busy := {worker.connection: worker for worker in workers if worker.queued}:
        for connection in wait(list(busy)):
            worker = busy[cast(Connection, connection)]
            message = worker.receive()
            if message.kind == "error":
                raise message.value
            if message.kind == "result":
                finished += message.done
                worker.send_next(pending)
                on_result(message.value)
            on_progress(finished + sum(worker.done for worker in workers))


def _serve(function: Function, shared: Any, connection: Connection, inherited: Sequence[Connection]) -> None:
    """Run in the worker process: work until the parent closes its end of the connection or is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent decides
    signal.signal(signal.SIGTERM, _exit_on_sigterm)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    for other in inherited:
        other.close()
    report = _Reporter(connection)
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            task = connection.recv()
            report.done = 0
            try:
                kind, value = "result", function(shared, task, report)
            except (MnasnetError, OSError) as error:
                kind, value = "error", error
            except Exception:
                kind, value = "error", RuntimeError(f"in a worker process:\n{traceback.format_exc()}")
            connection.send(_Message(kind, value, report.done))


class _Reporter:
    """Sends the progress of the current task to the parent, at most once per REPORT_SECONDS."""

    def __init__(self, connection: Connection) -> None:
        self.done = 0
        self._connection = connection
        self._last = time.monotonic()

    def __call__(self, done: int) -> None:
        self.done = done
        now = time.monotonic()
        if now - self._last > REPORT_SECONDS:
            self._last = now
            self._connection.send(_Message("progress", None, done))


def _exit_on_sigterm(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second signal must not interrupt the clean-up
    raise SystemExit(128 + number)


@contextlib.contextmanager
def stop_on_sigterm(message: str) -> Iterator[None]:
    """Raise Stopped(message) on SIGTERM within the block, so that files are cleaned up. Main thread only."""
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
