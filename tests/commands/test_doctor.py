"""`mnasnet doctor`: the real machine, and machines with something to mend."""

from __future__ import annotations

import copy
import signal
import sys

import pytest

from mnasnet_cli.commands.doctor import rows
from mnasnet_cli.system import machine

HEALTHY = {
    "versions": {"mnasnet": "1", "python": "3.11.7"} | dict.fromkeys((*machine.REQUIRED, *machine.OPTIONAL), "1.0"),
    "system": "Linux 6 x86_64",
    "cpu": {"name": "a processor", "cores": 4, "features": ["avx", "avx2"]},
    "memory_gb": {"total": 32.0, "available": 20.0},
    "disk_free_gb": 100.0,
    "environment": {},
    "nvidia_driver": False,
    "tensorflow": {"devices": [{"name": "CPU:0", "type": "CPU"}], "threads": {"intra_op": 0, "inter_op": 2}},
}


def test_json_of_this_machine(mnasnet):
    result = mnasnet("doctor", "--json")
    assert result.code == 0, result.err
    found = result.json
    assert found["versions"]["python"] == sys.version.split()[0]
    assert found["versions"]["tensorflow"]
    assert [device["type"] for device in found["tensorflow"]["devices"]][:1] == ["CPU"]
    assert found["cpu"]["cores"] >= 1
    assert 0 < found["memory_gb"]["available"] <= found["memory_gb"]["total"]
    assert found["disk_free_gb"] > 0


def test_table_where_tensorflow_cannot_be_imported(mnasnet, monkeypatch, tmp_path):
    (tmp_path / "tensorflow.py").write_text("raise ImportError('libsomething.so is missing')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    result = mnasnet("doctor")
    assert result.code == 0, result.err
    assert "none: ImportError: libsomething.so is missing" in result.out
    assert "TensorFlow cannot be used: ImportError: libsomething.so is missing" in result.out
    assert "AVX" not in result.out


def test_a_file_in_the_current_folder_does_not_take_the_place_of_a_module(monkeypatch, tmp_path):
    (tmp_path / "numbers.py").write_text("raise ImportError('mine')\n")
    monkeypatch.chdir(tmp_path)
    assert machine._tensorflow()["devices"]


@pytest.mark.parametrize(
    ("number", "is_the_processor"), [(signal.SIGILL, True), (signal.SIGABRT, True), (signal.SIGKILL, False)]
)
def test_import_that_kills_the_process(monkeypatch, tmp_path, number, is_the_processor):
    (tmp_path / "tensorflow.py").write_text(f"import os; os.kill(os.getpid(), {number:d})\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    problem = machine._tensorflow()["error"]
    assert problem.startswith(f"importing it ends the process with signal {number:d}")
    assert ("needs a 64-bit processor with AVX" in problem) == is_the_processor
    [line] = machine.to_mend({**HEALTHY, "tensorflow": {"error": problem}})
    assert line.startswith(f"TensorFlow cannot be used: {problem}; `{sys.executable} -P -c 'import tensorflow'` shows")


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("versions.tf-slim", None, "not installed: tf-slim; run `pip install tf-slim`"),
        ("versions.torch", None, None),
        ("nvidia_driver", True, "an NVIDIA driver is here but TensorFlow sees no GPU"),
        ("memory_gb.available", 1.5, "only 1.5 GB of memory is available"),
        ("memory_gb.available", None, None),
        ("disk_free_gb", 3.0, "only 3.0 GB is free"),
        ("environment.TF_ENABLE_ONEDNN_OPTS", "0", "TF_ENABLE_ONEDNN_OPTS=0 makes training"),
        ("environment.OMP_NUM_THREADS", "1", "OMP_NUM_THREADS=1 leaves some of the 4 cores idle"),
        ("environment.OMP_NUM_THREADS", "4", None),
    ],
)
def test_what_to_mend(path, value, expected):
    found = copy.deepcopy(HEALTHY)
    place = found
    *parents, last = path.split(".")
    for parent in parents:
        place = place[parent]
    place[last] = value
    mend = machine.to_mend(found)
    assert len(mend) == (expected is not None)
    assert not expected or mend[0].startswith(expected)


def test_rows_say_what_is_not_installed():
    found = copy.deepcopy(HEALTHY)
    found["versions"] |= {"torch": None, "tf-slim": None}
    found["environment"] = {"TF_CONFIG": "{}"}
    listed = dict(rows(found))
    assert listed["torch"] == "not installed (optional)"
    assert listed["tf-slim"] == "not installed"
    assert listed["TensorFlow threads"] == "intra_op automatic, inter_op 2"
    assert listed["TF_CONFIG"] == "{}"
