"""`mnasnet runs`: the leaderboard."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from outcomes import last_error_of

from mnasnet_cli.cards.leaderboard import compare_runs, differing_settings, find_runs
from mnasnet_cli.config.loading import load_config


def make_run(folder: Path, top1: float | None, *, latency: float | None = None, **flags: Any) -> None:
    """Write the files of a run of `quick`, finished if `top1` is given."""
    folder.mkdir(parents=True)
    settings = {key.replace("__", "."): value for key, value in flags.items()}
    (folder / "config.yaml").write_text(load_config("quick", flags=settings).to_yaml())
    line = {"step": 5, "epoch": 2.0, "split": "validation", "top1": 0.25, "loss": 1.0, "seconds": 3.0}
    (folder / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    if top1 is not None:
        results = {
            "per_class": [{"class": 1, "name": "a"}] * 10,
            "top1": top1,
            "best_top1": top1 + 0.01,
            "seconds": 90.0,
        }
        (folder / "results.json").write_text(json.dumps(results))
    if latency is not None:
        (folder / "latency.json").write_text(json.dumps({"models": [{"batch_size": 1, "p50_ms": latency}]}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with four runs: two finished, one unfinished, one damaged; one of them two folders deeper."""
    root = tmp_path / "runs"
    make_run(root / "bad", 0.5, latency=4.5, model__variant="small", optimizer__weight_decay=0.25)
    make_run(root / "sub" / "good", 0.75, model__width=0.5)
    make_run(root / "half", None)
    (root / "damaged").mkdir()
    (root / "damaged" / "config.yaml").write_text("model: [")
    (root / "no-run").mkdir()
    return root


def test_ranked_with_what_differs(mnasnet: Callable[..., Any], folder: Path) -> None:
    outcome = mnasnet("runs", folder, "--json")
    assert outcome.code == 0, outcome.err
    rows = outcome.json["runs"]
    assert [Path(row["run"]).name for row in rows] == ["good", "bad", "half", "damaged"]
    assert [row["state"] for row in rows] == ["finished", "finished", "unfinished", "damaged"]
    assert [row["best"] for row in rows] == [0.76, 0.51, 0.25, None]
    assert (rows[1]["latency_ms"], rows[1]["net"], rows[0]["net"]) == (4.5, "small", "b1 ×0.5")
    assert rows[2]["epochs_done"] == 2.0
    assert "damaged" in rows[3]["reason"]
    assert outcome.json["differing_keys"] == ["optimizer.weight_decay"]
    assert [row["differs"] for row in rows[:2]] == [{"optimizer.weight_decay": 0.05}, {"optimizer.weight_decay": 0.25}]


def test_a_table(mnasnet: Callable[..., Any], folder: Path) -> None:
    outcome = mnasnet("runs", folder / "sub", folder / "half", folder / "damaged", folder / "sub" / "good")
    assert outcome.code == 0, outcome.err
    assert "Classifiers by top-1" in outcome.out
    assert "76.0 %" in outcome.out
    assert "2 of " in outcome.out
    assert outcome.out.count(str(folder / "sub" / "good")) == 1  # its cost has its name only
    assert outcome.out.count("good") == 2
    assert "Runs that can't be read" in outcome.out


def test_settings_are_told_where_they_are_not_the_usual_ones(tmp_path: Path) -> None:
    for number in range(12):
        make_run(tmp_path / "sweep" / f"run-{number:02}", number / 20, training__seed=number % 2 + 3 * (number == 4))
    make_run(tmp_path / "other" / "run-04", 0.9, optimizer__weight_decay=0.25, data__augment__crop_area=[0.2, 1.0])
    rows = differing_settings(compare_runs(find_runs([tmp_path])).of_task("classification"))
    assert rows[0] == (
        "(most runs)", "data.augment.crop_area=[0.35,1.0], optimizer.weight_decay=0.05, training.seed=0"
    )  # fmt: skip
    assert rows[1] == ("other/run-04", "data.augment.crop_area=[0.2,1.0], optimizer.weight_decay=0.25")
    assert rows[2:4] == [("run-11", "training.seed=1"), ("run-10", "the same")]
    assert ("sweep/run-04", "training.seed=3") in rows
    assert len(rows) == 14
    assert differing_settings([]) == []


def test_csv(mnasnet: Callable[..., Any], folder: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(mnasnet("runs", folder, "--format=csv").out)))
    assert [row["best"] for row in rows] == ["0.76", "0.51", "0.25", ""]
    assert rows[1]["optimizer.weight_decay"] == "0.25"


def test_html(mnasnet: Callable[..., Any], folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "board" / "runs.html"
    outcome = mnasnet("runs", folder, "--format=html", "--out", page)
    assert outcome.code == 0, outcome.err
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") == 2  # over multiply-adds and over latency
    assert "median latency, ms" in text
    assert "<script" not in text
    assert "optimizer.weight_decay" in text
    assert mnasnet("runs", folder / "sub", "--format=html").out.count("<svg") == 1  # no latency was measured


def test_no_runs(mnasnet: Callable[..., Any], tmp_path: Path) -> None:
    outcome = mnasnet("runs", tmp_path)
    assert outcome.code == 0
    assert "there are no runs here" in outcome.err
    assert mnasnet("runs", tmp_path, "--json").json == {"runs": [], "differing_keys": []}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format=hmtl"], "did you mean 'html'"),
        (["--out=a.csv"], "--format csv, json or html"),
        (["gone"], "is no folder"),
    ],
)
def test_wrong_arguments(
    mnasnet: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    outcome = mnasnet("runs", *arguments)
    assert outcome.code == 2
    assert message in last_error_of(outcome)
