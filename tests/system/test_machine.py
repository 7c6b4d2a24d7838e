"""The description of this machine, and the problems that it may have."""

from __future__ import annotations

import copy
import os
import platform
import signal
import sys
from pathlib import Path

import pytest
from healthy_machine import HEALTHY

import mnasnet_cli
from mnasnet_cli.system import machine


def test_package_versions():
    import numpy

    assert machine.package_version("numpy") == numpy.__version__
    assert machine.package_version("no-such-package") is None


def test_core_count_is_what_this_process_may_use():
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system has no sched_setaffinity")
    cores = os.sched_getaffinity(0)
    assert machine.core_count() == len(cores)
    try:
        os.sched_setaffinity(0, {min(cores)})
        assert machine.core_count() == 1
    finally:
        os.sched_setaffinity(0, cores)


def test_facts_beside_a_measurement():
    found = machine.host(("numpy", "no-such-package"))
    assert set(found) == {"system", "cpu", "memory_gb", "load_average", "versions"}
    assert set(found["versions"]) == {"mnasnet", "python", "numpy"}
    assert found["versions"]["mnasnet"] == mnasnet_cli.__version__
    assert found["system"].endswith(platform.machine())
    assert found["cpu"]["name"]
    assert set(found["cpu"]["features"]) <= set(machine.CPU_FEATURES)
    assert found["memory_gb"] > 0


def test_a_container_limit_counts_as_memory(monkeypatch):
    files = {
        "/proc/meminfo": "MemTotal:       32000000 kB\nMemAvailable:   20000000 kB\n",
        "/sys/fs/cgroup/memory.max": "4000000000\n",
        "/sys/fs/cgroup/memory.current": "1000000000\n",
    }
    monkeypatch.setattr(Path, "read_text", lambda path, **_: files.get(str(path), ""))
    assert machine.host(())["memory_gb"] == 4.0
    monkeypatch.setattr(machine, "probe_tensorflow", dict)
    assert machine.describe()["memory_gb"] == {"total": 4.0, "available": 3.0}
    files["/sys/fs/cgroup/memory.max"] = "max\n"
    assert machine.host(())["memory_gb"] == 32.8


def test_a_module_in_the_current_folder_is_not_imported(monkeypatch, tmp_path):
    (tmp_path / "numbers.py").write_text("raise ImportError('mine')\n")
    monkeypatch.chdir(tmp_path)
    assert machine.probe_tensorflow()["devices"]


@pytest.mark.parametrize(
    ("number", "is_the_processor"), [(signal.SIGILL, True), (signal.SIGABRT, True), (signal.SIGKILL, False)]
)
def test_an_import_that_kills_the_process(monkeypatch, tmp_path, repo, number, is_the_processor):
    (tmp_path / "tensorflow.py").write_text(f"import os; os.kill(os.getpid(), {number:d})\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{repo}")
    error = machine.probe_tensorflow()["error"]
    assert f"signal {number:d}" in error
    assert ("AVX" in error) == is_the_processor
    [line] = machine.find_problems({**HEALTHY, "tensorflow": {"error": error}})
    assert f"{error}; `{sys.executable} -P -c 'import tensorflow'`" in line


@pytest.mark.parametrize(
    ("path", "value", "facts"),
    [
        ("versions.tf-slim", None, ["not installed: tf-slim", "`pip install tf-slim`"]),
        ("versions.torch", None, None),
        ("nvidia_driver", True, ["NVIDIA driver", "no GPU", "tensorflow[and-cuda]"]),
        ("memory_gb.available", 1.5, ["1.5 GB", "--batch-size"]),
        ("memory_gb.available", None, None),
        ("disk_free_gb", 3.0, ["3.0 GB"]),
        ("environment.TF_ENABLE_ONEDNN_OPTS", "0", ["TF_ENABLE_ONEDNN_OPTS=0", "unset"]),
        ("environment.OMP_NUM_THREADS", "1", ["OMP_NUM_THREADS=1", "4 cores", "unset"]),
        ("environment.OMP_NUM_THREADS", "4", None),
    ],
)
def test_problems(path, value, facts):
    found = copy.deepcopy(HEALTHY)
    section = found
    *parents, last = path.split(".")
    for parent in parents:
        section = section[parent]
    section[last] = value
    problems = machine.find_problems(found)
    assert len(problems) == (facts is not None)
    assert all(fact in problems[0] for fact in facts or ())
