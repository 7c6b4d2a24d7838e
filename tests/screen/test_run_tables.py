"""Tables of a run."""

from __future__ import annotations

from mnasnet_cli.screen.run_tables import print_run, setting_rows


def test_settings_are_rows_with_values_as_set_takes_them():
    tree = {"task": "classification", "model": {"width": 1.0, "net": {"padding": None}}, "data": {"mean": [1, 2.5]}}
    assert setting_rows(tree) == [
        ("task", "classification"), ("model.width", "1.0"), ("model.net.padding", "null"), ("data.mean", "[1, 2.5]")
    ]  # fmt: skip


def test_a_run_is_tables(capsys):
    last = {"step": 1470, "split": "validation", "top1": 0.826, "loss": 0.70123, "seconds": 185.0}
    found = {"path": "runs/x", "config": {}, "checkpoints": ["runs/x/checkpoints/ckpt-7"], "best": None,
             "last": {"train": None, "validation": last}, "results": None}  # fmt: skip
    print_run(found)
    said = capsys.readouterr().out
    for text in ("82.6 %", "0.7012", "3 min 05 s", "1,470", "runs/x/checkpoints/ckpt-7", "not finished"):
        assert text in said
