"""`mnasnet doctor`: this machine, and machines with problems."""

from __future__ import annotations

import copy
import os
import sys

from healthy_machine import HEALTHY

from mnasnet_cli.commands.doctor import rows


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


def test_table_where_tensorflow_cannot_be_imported(mnasnet, monkeypatch, tmp_path, repo):
    (tmp_path / "tensorflow.py").write_text("raise ImportError('libsomething.so is missing')\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{repo}")
    result = mnasnet("doctor")
    assert result.code == 0, result.err
    assert "none: ImportError: libsomething.so is missing" in result.out
    assert "TensorFlow cannot be used: ImportError: libsomething.so is missing" in result.out
    assert "AVX" not in result.out


def test_rows_say_what_is_not_installed():
    found = copy.deepcopy(HEALTHY)
    found["versions"] |= {"torch": None, "tf-slim": None}
    found["environment"] = {"TF_CONFIG": "{}"}
    listed = dict(rows(found))
    assert listed["torch"] == "not installed (optional)"
    assert listed["tf-slim"] == "not installed"
    assert listed["TensorFlow threads"] == "intra_op automatic, inter_op 2"
    assert listed["TF_CONFIG"] == "{}"
