"""Ctrl-C during a measurement: no process is left, and none prints anything."""

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

from mnasnet_cli.latency.measure import BenchmarkCase, defer_interrupts, measure

BLOCKED = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"
CASES = [BenchmarkCase("one", "one.tflite"), BenchmarkCase("two", "two.tflite")]


@pytest.fixture(autouse=True)
def _enable_ctrl_c() -> Iterator[None]:
    """Background jobs of a shell ignore Ctrl-C; without this, the tests and their processes would, too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def is_blocked_in_a_new_program() -> bool:
    return (
        subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True, check=True).stdout == "True\n"
    )


def test_an_interrupt_waits_until_the_process_has_started():
    steps = []

    def start() -> None:
        with defer_interrupts():
            os.kill(os.getpid(), signal.SIGINT)
            assert is_blocked_in_a_new_program()
            steps.append("started")

    with pytest.raises(KeyboardInterrupt):
        start()
    assert steps == ["started"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert not is_blocked_in_a_new_program()


def test_an_ignored_interrupt_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in a shell's background job
    try:
        with defer_interrupts():
            os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("started", [True, False])
def test_an_interrupt_during_a_start_leaves_no_process(monkeypatch, started):
    start = SpawnProcess.start

    def interrupted(process: SpawnProcess) -> None:
        if not started:
            raise KeyboardInterrupt
        start(process)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(SpawnProcess, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        measure(CASES, runs=2, rounds=1)
    assert multiprocessing.active_children() == []


@pytest.mark.slow
def test_ctrl_c_prints_one_line_at_any_time(tmp_path):
    from mnasnet_cli.latency.variants import convert_variant

    model = str(convert_variant("small", 0.35, 32, tmp_path))
    program = [sys.executable, "-m", "mnasnet_cli", "benchmark", *[model] * 7, "--runs=400", "--rounds=200"]
    # Seconds after the first process: Python starts, LiteRT loads, the calls run.
    for delay in (0.0, 0.02, 0.05, 0.1, 0.2, 0.4):
        running = subprocess.Popen(program, stderr=subprocess.PIPE, text=True, start_new_session=True)
        while not Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text():
            time.sleep(0.005)
        time.sleep(delay)
        os.killpg(running.pid, signal.SIGINT)  # a terminal sends it to all processes
        _, output = running.communicate(timeout=60)
        lines = [line for line in output.splitlines() if not line.startswith("benchmark:")]
        assert (running.returncode, lines) == (130, ["interrupted"]), (delay, output)
