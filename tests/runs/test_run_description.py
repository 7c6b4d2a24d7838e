"""The description of a run directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from mnasnet_cli.runs.describe import describe_run

pytestmark = pytest.mark.usefixtures("tiny_net")


def test_a_run(trained_run: Path) -> None:
    found = describe_run(trained_run)
    assert found["config"]["model"]["variant"] == found["model"]["variant"] == "tiny"
    assert Path(found["checkpoints"][-1]).name == "ckpt-18"
    assert Path(found["best"]).parent.name == "best"
    assert found["last"]["train"]["step"] == found["last"]["validation"]["step"] == 18
    assert found["results"]["steps"] == found["model"]["step"] == 18


def test_a_run_without_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("task: imagenet\n")
    found = describe_run(tmp_path)
    assert (found["checkpoints"], found["best"], found["results"]) == ([], None, None)
    assert found["last"] == {"train": None, "validation": None}
