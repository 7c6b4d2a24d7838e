"""Which processes a run is of: what TF_CONFIG says, and starting again when one of them is gone."""

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
from mnasnet_cli.distributed.cluster import Cluster, PeerLost, read_cluster, start_again
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
    ("text", "problem"),
    [
        ("{'cluster'", "it is no JSON"),
        ("[1]", "'list' object has no attribute 'get'"),
        ('{"cluster": {"worker": ["a:1", "b:1"]}}', "'task' is missing"),
        ('{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker"}}', "'index' is missing"),
        ('{"cluster": {"worker": "a:1"}}', "'worker' must be a list of addresses"),
        ('{"cluster": {"worker": ["a", "b:1"]}}', "'a' is not of the form host:port"),
        ('{"cluster": {"worker": ["a:1", "b:99999"]}}', "'b:99999' is not of the form host:port"),
        ('{"cluster": {"worker": ["a:1", "a:1"]}}', "an address is there twice"),
        ('{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}}', "tasks of the type 'ps' are of no use here"),
        (tf_config(TWO, 2), "the task worker 2 is not in the cluster"),
        ('{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": "1"}}', "the task worker 1"),
    ],
)
def test_a_wrong_tf_config_is_one_line_and_exit_2(
    text: str,
    problem: str,
    mnasnet: Callable[..., Any],
    shape_records: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    outcome = mnasnet("train-imagenet", f"--data={shape_records}", f"--run-dir={tmp_path / 'run'}")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1), outcome.err
    assert f"TF_CONFIG is not valid ({problem}" in outcome.err
    assert not (tmp_path / "run").exists()


def test_starting_again_leaves_out_fresh_and_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(clusters.os, "execv", lambda _, words: started.append(words))
    monkeypatch.setattr(clusters.os, "closerange", lambda *_: None)
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "mnasnet_cli", "train-imagenet", "--fresh", "--seed=1"])
    monkeypatch.setenv("MNASNET_RESTARTS", "0")
    for _ in range(clusters.MOST_RESTARTS):
        start_again(PeerLost("gone"), trained_seconds=5.0)
    assert started[0] == [sys.executable, "-m", "mnasnet_cli", "train-imagenet", "--seed=1"]
    with pytest.raises(EnvironmentProblem, match="10 times in a row"):
        start_again(PeerLost("gone"), trained_seconds=5.0)
    start_again(PeerLost("gone"), trained_seconds=3600.0)  # it had gone well for long
    assert os.environ["MNASNET_RESTARTS"] == "1"
