"""The newest run of a task."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mnasnet_cli.errors import CheckpointError
from mnasnet_cli.runs.finding import newest_run


def test_a_damaged_run_hides_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, config in (("good", "task: imagenet\n"), ("x", "task: [")):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        (tmp_path / name / "config.yaml").write_text(config)
        (tmp_path / name / "checkpoints" / "ckpt-1.index").touch()
    assert newest_run("classification", tmp_path) == tmp_path / "good"
    with pytest.raises(CheckpointError, match="mnasnet train-coco"):
        newest_run("detection", tmp_path)
    [warning] = capsys.readouterr().err.splitlines()  # one warning for both tasks
    assert warning.startswith("warning: ")
    assert f"{tmp_path / 'x'}: its config.yaml" in warning


def test_the_run_that_saved_last_is_the_newest(tmp_path: Path) -> None:
    for seconds, name in ((2000, "a"), (3000, "b"), (1000, "c")):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        (tmp_path / name / "config.yaml").write_text("task: coco\n")
        index = tmp_path / name / "checkpoints" / "ckpt-1.index"
        index.touch()
        os.utime(index, (seconds, seconds))
    assert newest_run("detection", tmp_path) == tmp_path / "b"
