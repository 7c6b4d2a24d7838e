"""Worker processes: every task runs once, and errors and deaths of workers are reported."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from mnasnet_cli.errors import DataError, EnvironmentProblem, Stopped
from mnasnet_cli.system.workers import Report, run_tasks, stop_on_sigterm


def square(shared: int, task: tuple[int], report: Report) -> int:
    report(task[0])
    if task[0] == 13:
        raise DataError("thirteen")
    if task[0] == 66:
        os.kill(os.getpid(), signal.SIGKILL)
    if task[0] == 88:
        time.sleep(60)
    if task[0] == 99:
        raise KeyError("a bug")
    return shared * task[0] ** 2


def run(numbers: list[int], processes: int = 2) -> tuple[list[int], list[int]]:
    results: list[int] = []
    progress: list[int] = []
    tasks: Any = [(number,) for number in numbers]
    run_tasks(square, 10, tasks, processes=processes, on_result=results.append, on_progress=progress.append)
    return results, progress


def test_every_task_runs_once() -> None:
    results, progress = run(list(range(10)))
    assert sorted(results) == [10 * number**2 for number in range(10)]
    assert progress[0] == 0
    assert progress[-1] == sum(range(10))
    assert run([]) == ([], [0])


@pytest.mark.parametrize(
    ("task", "kind", "message"),
    [
        (13, DataError, "^thirteen$"),
        (66, EnvironmentProblem, r"signal 9\b.*memory\); run the command again"),
        (99, RuntimeError, "KeyError: 'a bug'"),
    ],
)
def test_errors_of_workers_are_raised(task: int, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        run([1, 2, task, 3, 4])
    assert not multiprocessing.active_children()


def test_an_error_in_this_process_stops_the_workers() -> None:
    def fail(result: int) -> None:
        raise KeyError(result)

    began = time.monotonic()
    tasks: Any = [(1,), (88,)]  # 88 sleeps
    with pytest.raises(KeyError):
        run_tasks(square, 10, tasks, processes=2, on_result=fail)
    assert time.monotonic() - began < 30
    assert not multiprocessing.active_children()


def test_sigterm_raises_stopped() -> None:
    before = signal.getsignal(signal.SIGTERM)

    def terminate() -> None:
        with stop_on_sigterm("come back later"):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)

    with pytest.raises(Stopped, match="come back later"):
        terminate()
    assert signal.getsignal(signal.SIGTERM) == before


def test_other_threads_do_not_handle_sigterm() -> None:
    entered = []

    def work() -> None:
        with stop_on_sigterm("not in this thread"):
            entered.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert entered


def test_a_script_without_a_guard_is_not_run_again(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, types\n"
        "print('script')\n"
        "sys.modules['tensorflow'] = types.ModuleType('tensorflow')  # then workers are spawned\n"
        "from mnasnet_cli.system.workers import run_tasks\n"
        "import test_workers\n"
        "run_tasks(test_workers.square, 10, [(1,), (2,)], processes=2, on_result=print)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    result = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split().count("script") == 1
