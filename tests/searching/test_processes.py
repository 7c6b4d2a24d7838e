import errno
import os
import signal
import subprocess
import sys
import time

import pytest

from mnasnet_cli.errors import DataError, EnvironmentProblem, Stopped
from mnasnet_cli.searching.processes import run_in_process
from mnasnet_cli.system.documents import Unreadable


def double(number):
    print("this is not seen")
    return 2 * number


FAULTS = {
    "data": DataError("no records"),
    "file": Unreadable("dataset.json", "is not valid JSON", "write it again"),
    "disk": OSError(errno.ENOSPC, "no space left on device", "checkpoint"),
    "bug": ValueError("a bug"),
}


def fail(kind):
    raise FAULTS[kind]


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def wait_for(path):
    time.sleep(60)


def test_a_function_runs_in_a_process_of_its_own(capfd):
    assert run_in_process(double, 21) == 42
    assert "seen" not in "".join(capfd.readouterr())


def test_errors_come_back():
    with pytest.raises(DataError, match="no records"):
        run_in_process(fail, "data")
    with pytest.raises(Unreadable, match=r"dataset\.json is not valid JSON; write it again"):
        run_in_process(fail, "file")
    with pytest.raises(OSError, match="no space left on device: 'checkpoint'"):
        run_in_process(fail, "disk")
    with pytest.raises(RuntimeError, match=r"(?s)^ValueError: a bug, in a worker process:\nTraceback"):
        run_in_process(fail, "bug")


def test_a_process_that_dies_is_one_line():
    with pytest.raises(EnvironmentProblem, match="the training ended with signal 9, perhaps out of memory; the same"):
        run_in_process(die, name="the training")


def test_an_error_while_waiting_stops_the_process(tmp_path):
    def stop():
        raise Stopped("stopped by SIGTERM")

    began = time.monotonic()
    with pytest.raises(Stopped):
        run_in_process(wait_for, str(tmp_path), on_wait=stop)
    assert time.monotonic() - began < 30


PARENT = """
import sys, time
sys.path.insert(0, sys.argv[1])
import search_children
from mnasnet_cli.searching.processes import run_in_process
run_in_process(search_children.write_pid_and_sleep, sys.argv[2])
"""
CHILDREN = """
import os, time
def write_pid_and_sleep(path):
    with open(path, "w") as file:
        file.write(str(os.getpid()))
    time.sleep(60)
"""


def test_a_process_ends_when_its_parent_is_killed(tmp_path):
    (tmp_path / "search_children.py").write_text(CHILDREN)
    pid = tmp_path / "pid"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, tmp_path, pid])
    ends = time.monotonic() + 30
    while not (pid.exists() and pid.read_text()) and time.monotonic() < ends:
        time.sleep(0.1)
    parent.kill()
    parent.wait()
    while time.monotonic() < ends:
        try:
            os.kill(int(pid.read_text()), 0)
        except ProcessLookupError:
            break
        time.sleep(0.1)
    else:
        pytest.fail("the process is still there")
