"""The table at the end of a training."""

from __future__ import annotations

from pathlib import Path

from mnasnet_cli.screen.results import print_training, result_rows

RESULTS = {
    "task": "imagenet", "variant": "b1", "width": 1.0, "image_size": 128, "epochs": 10, "steps": 1470,
    "seconds": 408.2, "cpu_seconds": 7620.0, "stopped_early": False, "best_top1": 0.8261, "top1": 0.825, "top5": 0.98,
    "loss": 0.70123, "examples": 3925, "per_class": [],
}  # fmt: skip


def test_accuracies_are_percentages_and_times_are_for_people():
    rows = dict(result_rows(RESULTS))
    assert rows["net"] == "b1, width 1, 128 px"
    assert (rows["best top1"], rows["top1"], rows["top5"]) == ("82.6 %", "82.5 %", "98.0 %")
    assert (rows["time"], rows["time of all cores"]) == ("6 min 48 s", "2 h 07 min")
    assert (rows["loss"], rows["validation images"], rows["steps"]) == ("0.7012", "3,925", "1,470")


def test_a_detector_shows_the_numbers_of_coco():
    results = {**RESULTS, "AP": 0.123, "AP_small": None, "best_AP": 0.2, "images": 50, "stopped_early": True}
    for key in ("top1", "top5", "best_top1", "examples"):
        del results[key]
    rows = dict(result_rows(results))
    assert (rows["best AP"], rows["AP"], rows["AP_small"]) == ("20.0 %", "12.3 %", "n/a")
    assert (rows["epochs"], rows["validation images"]) == ("10, stopped early", "50")


def test_a_run_without_validation_images():
    results = {key: value for key, value in RESULTS.items() if key not in ("top5", "loss", "examples")}
    rows = dict(result_rows({**results, "top1": None, "best_top1": None}))
    assert rows["top1"] == "n/a"
    assert "best top1" not in rows


def test_it_ends_with_the_next_commands(capsys):
    print_training(Path("runs/x"), Path("data/y"), RESULTS)
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "  mnasnet eval runs/x --data data/y",
        "  mnasnet predict runs/x IMAGE",
        "  mnasnet export runs/x --data data/y",
    ]
