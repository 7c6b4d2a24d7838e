"""`mnasnet demo`: a tiny run, and folders that it must not touch."""

from __future__ import annotations

import pytest

from mnasnet_cli.commands import demo
from mnasnet_cli.config.loading import load_config


def test_a_folder_with_other_files_is_kept(mnasnet, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/mine.jpg").write_bytes(b"mine")
    result = mnasnet("demo", "--out", tmp_path)
    assert (result.code, result.out) == (2, "")
    assert len(result.err.splitlines()) == 1
    for fact in (str(tmp_path), "--out"):
        assert fact in result.err
    assert (tmp_path / "images/mine.jpg").read_bytes() == b"mine"
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


@pytest.mark.slow
def test_two_demos_in_one_folder(mnasnet, monkeypatch, tmp_path):
    for name, value in {
        "CLASSES": 2,
        "TRAIN_PER_CLASS": 16,
        "VAL_PER_CLASS": 4,
        "TRAIN_SCENES": 16,
        "VAL_SCENES": 4,
        "PARITY_IMAGES": 2,
        "available_formats": lambda: (["tflite"], ""),
    }.items():
        monkeypatch.setattr(demo, name, value)
    short = ("training.epochs=1", "schedule.warmup_epochs=0", "training.batch_size=16")

    def shortened(name: str, task: str):
        return load_config(
            name, task=task, assignments=(*short, f"data.image_size={32 if task == 'classification' else 64}")
        )

    monkeypatch.setattr("mnasnet_cli.config.loading.load_config", shortened)
    for _ in range(2):
        result = mnasnet("demo", "--out", tmp_path / "d", "--json")
        assert result.code == 0, result.err
        assert result.json["examples"] == 8
        assert 0 <= result.json["top1"] <= 1
        assert 0 <= result.json["AP"] <= result.json["AP50"] <= 1
        assert {one["format"] for one in result.json["artifacts"]} >= {"tflite"}
    table = mnasnet("eval", "--imagenet-val", tmp_path / "d/run", "--data", tmp_path / "d/records", "--json")
    assert table.json["top1"] == result.json["top1"]
