"""Ctrl-C while models are measured: no process is left, and none says anything of it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing.context import SpawnProcess
from pathlib import Path

import pytest

from mnasnet_cli.latency.interrupts import interrupts_kept_back
from mnasnet_cli.latency.measure import Subject, measure

BLOCKED = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"
SUBJECTS = [Subject("one", "one.tflite"), Subject("two", "two.tflite")]


@pytest.fixture(autouse=True)
def _heard() -> Iterator[None]:
    """A shell's background jobs ignore Ctrl-C, and so would these tests and what they start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def _is_blocked_in_a_new_program() -> bool:
    return (
        subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True, check=True).stdout == "True\n"
    )


def test_an_interrupt_waits_for_the_end_of_a_start():
    steps = []

    def start() -> None:
        with interrupts_kept_back():
            os.kill(os.getpid(), signal.SIGINT)
            assert _is_blocked_in_a_new_program()
            steps.append("started")

    with pytest.raises(KeyboardInterrupt):
        start()
    assert steps == ["started"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert not _is_blocked_in_a_new_program()


def test_an_interrupt_that_was_ignored_stays_so():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in a shell's background job
    try:
        with interrupts_kept_back():
            os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("started", [True, False])
def test_an_interrupt_out_of_a_start_leaves_no_process(monkeypatch, started):
    start = SpawnProcess.start

    def interrupted(process: SpawnProcess) -> None:
        if not started:
            raise KeyboardInterrupt
        start(process)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(SpawnProcess, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        measure(SUBJECTS, runs=2, rounds=1)
    assert multiprocessing.active_children() == []


@pytest.mark.slow
def test_ctrl_c_is_one_line_whenever_it_comes(tmp_path):
    from mnasnet_cli.latency.variants import convert

    model = str(convert("small", 0.35, 32, tmp_path))
    program = [sys.executable, "-m", "mnasnet_cli", "benchmark", *[model] * 7, "--runs=400", "--rounds=200"]
    for delay in (0.0, 0.02, 0.05, 0.1, 0.2, 0.4):  # s after the first process began: Python starts, LiteRT, the calls
        running = subprocess.Popen(program, stderr=subprocess.PIPE, text=True, start_new_session=True)
        while not Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text():
            time.sleep(0.005)
        time.sleep(delay)
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does, to all of them
        _, said = running.communicate(timeout=60)
        lines = [line for line in said.splitlines() if not line.startswith("benchmark:")]
        assert (running.returncode, lines) == (130, ["interrupted"]), (delay, said)
