"""A checkpoint's own account of its net, as configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_models import detector_config

from mnasnet_cli.checkpoints.reader import CheckpointContents
from mnasnet_cli.checkpoints.restoring import net_config
from mnasnet_cli.errors import CheckpointError
from mnasnet_cli.runs.finding import newest_run


def test_detectors_of_before_are_read():
    """Once the section had a setting more, of the training alone."""
    detection = {**detector_config("b1").detection.model_dump(mode="json"), "freeze_backbone_norm": True}
    info = {"task": "coco", "variant": "b1", "width": 1.0, "preprocessing": {"image_size": 64}}
    config = net_config(CheckpointContents("x", 1, {**info, "detection": detection}, {}, False))
    assert config.detection == detector_config("b1").detection


def test_a_damaged_run_hides_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, config in (("good", "task: imagenet\n"), ("x", "task: [")):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        (tmp_path / name / "config.yaml").write_text(config)
        (tmp_path / name / "checkpoints" / "ckpt-1.index").touch()
    assert newest_run("classification", tmp_path) == tmp_path / "good"
    with pytest.raises(CheckpointError, match="mnasnet train-coco"):
        newest_run("detection", tmp_path)
    [warning] = capsys.readouterr().err.splitlines()  # once, whatever is looked for
    assert warning.startswith(f"warning: {tmp_path / 'x'} is left out: its config.yaml is damaged")
