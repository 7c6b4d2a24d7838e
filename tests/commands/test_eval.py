"""`mnasnet eval` on a run of the tiny net."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from outcomes import error_of
from tiny_net import tiny_nets

pytestmark = pytest.mark.usefixtures("tiny_net")


@pytest.fixture
def evaluate(mnasnet: Callable[..., Any], shape_records: Path) -> Callable[..., Any]:
    def run(*arguments: object) -> Any:
        return mnasnet("eval", "--imagenet-val", f"--data={shape_records}", *arguments)

    return run


@pytest.fixture(scope="module")
def usual(mnasnet: Callable[..., Any], trained_run: Path, shape_records: Path) -> Any:
    """The report of the run, all images at a time."""
    with tiny_nets():
        outcome = mnasnet("eval", "--imagenet-val", f"--data={shape_records}", trained_run, "--json", "--batch-size=64")
    assert outcome.code == 0, outcome.err
    return outcome.json


def test_the_numbers_are_those_of_the_run_whatever_the_batch(
    evaluate: Callable[..., Any], trained_run: Path, usual: Any
) -> None:
    results = json.loads((trained_run / "results.json").read_text())
    few = evaluate(trained_run, "--json", "--batch-size=3")
    assert few.code == 0, few.err
    for report in (usual, few.json):
        assert (report["examples"], report["top1"], report["top5"]) == (20, results["top1"], results["top5"])
        assert report["loss"] == pytest.approx(results["loss"], rel=1e-5)
        assert report["averaged"] is True
        assert [row["examples"] for row in report["per_class"]] == [5] * 4
        assert sum(row["top1"] * 5 for row in report["per_class"]) / 20 == pytest.approx(report["top1"])


def test_other_weights_and_sizes(evaluate: Callable[..., Any], trained_run: Path, usual: Any) -> None:
    plain = evaluate(f"{trained_run}/checkpoints/ckpt-18", "--no-ema", "--json", "--image-size=64").json
    assert (plain["averaged"], plain["image_size"], usual["image_size"]) == (False, 64, 32)
    assert plain["loss"] != usual["loss"]
    assert "best/ckpt-" in evaluate(trained_run, "--best", "--json").json["model"]


def test_the_table_and_the_plots(evaluate: Callable[..., Any], trained_run: Path, tmp_path: Path) -> None:
    outcome = evaluate(trained_run, f"--plots={tmp_path / 'plots'}")
    assert outcome.code == 0, outcome.err
    for text in ("top1", "top5", "loss", "n90000004", "cross"):
        assert text in outcome.out
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {
        "best_images.png", "confusion.png", "pr_curves.png", "top1_per_class.png", "worst_images.png"
    }  # fmt: skip


def test_plots_that_cannot_be_written_are_refused_before_the_work(
    evaluate: Callable[..., Any], trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    message = error_of(evaluate(trained_run, f"--plots={tmp_path}/file/plots"))
    assert f"{tmp_path}/file is a file" in message
    assert "is a file; name a folder" in error_of(evaluate(trained_run, f"--plots={tmp_path}/file"))
    monkeypatch.setattr("os.access", lambda path, mode: not mode & os.W_OK)  # root may write everywhere
    assert f"{tmp_path} is read-only" in error_of(evaluate(trained_run, f"--plots={tmp_path}/not/yet"))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_newest_run_is_the_default(
    evaluate: Callable[..., Any], trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "mnasnet train-imagenet" in error_of(evaluate())
    shutil.copytree(trained_run, tmp_path / "runs" / "mine")
    assert evaluate("--json").json["model"] == "runs/mine/checkpoints/ckpt-18"


def test_what_cannot_be_evaluated_is_one_line(
    mnasnet: Callable[..., Any], evaluate: Callable[..., Any], trained_run: Path, shape_records: Path, tmp_path: Path
) -> None:
    assert "name a MODEL, or say which newest run" in error_of(mnasnet("eval"))
    assert "no model at" in error_of(evaluate(tmp_path / "nothing"))
    assert "has no checkpoint yet" in error_of(evaluate(tmp_path))
    assert "no record folder" in error_of(evaluate(trained_run, f"--data={tmp_path / 'nothing'}"))
    assert "--image-size" in error_of(evaluate(trained_run, "--image-size=3"))
    other = Path(shutil.copytree(shape_records, tmp_path / "other"))
    (other / "labels.txt").write_text((other / "labels.txt").read_text().replace("n90000004", "n90000099"))
    assert "n90000099" in error_of(evaluate(trained_run, f"--data={other}"))
    broken = Path(shutil.copytree(trained_run, tmp_path / "broken"))
    for file in broken.glob("checkpoints/*.data*"):
        file.write_bytes(file.read_bytes()[:100])
    assert str(broken) in error_of(evaluate(broken))


def test_records_that_lost_some_are_named(
    evaluate: Callable[..., Any], trained_run: Path, shape_records: Path, tmp_path: Path
) -> None:
    cut = Path(shutil.copytree(shape_records, tmp_path / "cut"))
    (cut / "validation-00001-of-00002").write_bytes(b"")
    outcome = evaluate(trained_run, f"--data={cut}")
    assert outcome.code == 2
    assert "validation-00001-of-00002 holds 0 records" in outcome.err.splitlines()[-1]


def test_another_split(evaluate: Callable[..., Any], trained_run: Path, split_records: Path) -> None:
    data = f"--data={split_records}"
    usual, test, train = (
        evaluate(trained_run, data, "--json", *flags).json for flags in ((), ("--split=test",), ("--split=train",))
    )
    assert [report["split"] for report in (usual, test, train)] == ["validation", "test", "train"]
    assert [report["examples"] for report in (usual, test, train)] == [20, 10, 96]
    assert "test images, 32 px" in evaluate(trained_run, data, "--split=test").out
    assert "there are train, validation, test; did you mean 'test'?" in error_of(evaluate(trained_run, "--split=tset"))
    message = error_of(evaluate(trained_run, "--split=test"))
    assert "has no test images" in message
    assert "--split train (96 images) or --split validation (20 images)" in message


def test_a_missed_accuracy_is_exit_code_3(evaluate: Callable[..., Any], trained_run: Path) -> None:
    met = evaluate(trained_run, "--require=top1=0", "--require=top5=1", "--json")  # of 4 classes the right one is in 5
    assert met.code == 0, met.err
    missed = evaluate(trained_run, "--require=top5=1", "--require=top1=1", "--json")
    assert missed.code == 3
    assert missed.json["top1"] == met.json["top1"] < 1
    assert "error: top1 is 0." in missed.err
    assert "no number 'top' (there are top1, top5)" in error_of(evaluate(trained_run, "--require=top=1"))
    assert "not 'top1'" in error_of(evaluate(trained_run, "--require=top1"))
    assert "expected a fraction from 0 to 1, such as top1=0.7" in error_of(evaluate(trained_run, "--require=top1=70"))
