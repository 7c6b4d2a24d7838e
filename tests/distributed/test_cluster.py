"""TF_CONFIG, and the restart of a process that lost another one."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from local_cluster import tf_config

from mnasnet_cli.distributed import cluster as clusters
from mnasnet_cli.distributed.cluster import Cluster, PeerLost, read_cluster, restart
from mnasnet_cli.errors import EnvironmentProblem

TWO = ["127.0.0.1:2001", "127.0.0.1:2002"]


@pytest.mark.parametrize(
    ("config", "addresses", "rank"),
    [
        (None, ("",), 0),
        ({}, ("",), 0),
        ({"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}, ("",), 0),
        ({"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}, ("a:1", "b:1"), 1),
        ({"cluster": {"worker": ["b:1"], "chief": ["a:1"]}, "task": {"type": "chief", "index": 0}}, ("a:1", "b:1"), 0),
        ({"cluster": {"worker": ["b:1"], "chief": ["a:1"]}, "task": {"type": "worker", "index": 0}}, ("a:1", "b:1"), 1),
    ],
)
def test_tf_config(config: Any, addresses: tuple[str, ...], rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", "" if config is None else json.dumps(config))
    assert read_cluster() == Cluster(addresses, rank)


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("{'cluster'", "JSON"),
        ("[1]", "found"),
        ("[" * 100_000, "nested"),
        ('{"cluster": [1]}', "'cluster'"),
        ('{"cluster": {"worker": ["a:1", "b:1"]}, "task": 1}', "'task'"),
        ('{"cluster": {"worker": [[]]}, "task": 1}', "'worker'"),
        ('{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": [], "index": 0}}', "0 is not"),
        ('{"cluster": {"worker": ["a:1", "b:1"]}}', "'task'"),
        ('{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker"}}', "'index'"),
        ('{"cluster": {"worker": "a:1"}}', "'worker'"),
        ('{"cluster": {"worker": ["a", "b:1"]}}', "'a'"),
        ('{"cluster": {"worker": ["a:1", "b:99999"]}}', "'b:99999'"),
        ('{"cluster": {"worker": ["a:1", "a:1"]}}', "address"),
        ('{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}}', "'ps'"),
        (tf_config(TWO, 2), "worker 2"),
        ('{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": "1"}}', "worker 1"),
    ],
)
def test_a_wrong_tf_config_is_one_line_and_exit_2(
    text: str,
    fact: str,
    mnasnet: Callable[..., Any],
    shape_records: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    outcome = mnasnet("train-imagenet", f"--data={shape_records}", f"--run-dir={tmp_path / 'run'}")
    assert (outcome.code, len(outcome.lines)) == (2, 1), outcome.err
    problem, _, example = outcome.err.partition('{"cluster"')  # a valid one, to compare with
    assert example
    assert "TF_CONFIG" in problem
    assert fact in problem
    assert not (tmp_path / "run").exists()


def test_restarts_drop_fresh_and_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(clusters.os, "execv", lambda _, words: started.append(words))
    monkeypatch.setattr(clusters.os, "closerange", lambda *_: None)
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "mnasnet_cli", "train-imagenet", "--fresh", "--seed=1"])
    monkeypatch.setenv("MNASNET_RESTARTS", "0")
    for _ in range(clusters.MAX_RESTARTS):
        restart(PeerLost("gone"), trained_seconds=5.0)
    assert started[0] == [sys.executable, "-m", "mnasnet_cli", "train-imagenet", "--seed=1"]
    with pytest.raises(EnvironmentProblem, match=r"10 restarts"):
        restart(PeerLost("gone"), trained_seconds=5.0)
    restart(PeerLost("gone"), trained_seconds=3600.0)  # after long training the count starts over
    assert os.environ["MNASNET_RESTARTS"] == "1"
