"""`mnasnet demo`: the whole way, made tiny; and what it must not touch."""

from __future__ import annotations

import pytest

from mnasnet_cli.commands import demo
from mnasnet_cli.config import load_config


def test_a_folder_that_no_demo_made_is_left_alone(mnasnet, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/mine.jpg").write_bytes(b"mine")
    result = mnasnet("demo", "--out", tmp_path)
    assert (result.code, result.out) == (2, "")
    assert result.err == f"error: {tmp_path} holds other files; choose another folder with --out\n"
    assert (tmp_path / "images/mine.jpg").read_bytes() == b"mine"
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


@pytest.mark.slow
def test_the_whole_way_twice(mnasnet, monkeypatch, tmp_path):
    for name, value in {
        "CLASSES": 2,
        "TRAIN_PER_CLASS": 16,
        "VAL_PER_CLASS": 4,
        "CONFIG": str(tmp_path / "c.yaml"),
    }.items():
        monkeypatch.setattr(demo, name, value)
    config = load_config("demo", assignments=("training.epochs=1", "data.image_size=32", "schedule.warmup_epochs=0"))
    (tmp_path / "c.yaml").write_text(config.to_yaml())
    for _ in range(2):
        result = mnasnet("demo", "--out", tmp_path / "d", "--json")
        assert result.code == 0, result.err
        assert result.json["examples"] == 8
        assert 0 <= result.json["top1"] <= 1
    table = mnasnet("eval", "--imagenet-val", tmp_path / "d/run", "--data", tmp_path / "d/records", "--json")
    assert table.json["top1"] == result.json["top1"]
