"""`mnasnet eval --coco-val` on a run of a tiny detector."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from outcomes import AP_NUMBERS, error_of

pytestmark = pytest.mark.usefixtures("tiny_net")


def test_eval_says_what_training_said_and_report_the_same(
    mnasnet: Callable[..., Any], scene_records: Path, detector_run: Path, tmp_path: Path
) -> None:
    results = json.loads((detector_run / "results.json").read_text())
    found = tmp_path / "found.json"
    command = ["eval", "--coco-val", detector_run, f"--data={scene_records}"]
    outcome = mnasnet(*command, "--json", f"--detections={found}", f"--plots={tmp_path / 'plots'}", "--batch-size=3")
    assert outcome.code == 0, outcome.err
    defined = [key for key in (*AP_NUMBERS, "AR100", "images", "loss") if results[key] is not None]
    assert len(defined) >= 6
    for key in defined:
        assert outcome.json[key] == pytest.approx(results[key], rel=1e-4, abs=1e-4), key
    plots = list((tmp_path / "plots").iterdir())
    assert [path.suffix for path in plots] == [".png"] * 5
    annotations = scene_records.parent / "images/annotations/instances_val2017.json"
    again = mnasnet("report", found, annotations, "--json")
    assert again.code == 0, again.err
    for key in {*AP_NUMBERS} & {*defined}:  # the file holds boxes to a hundredth of a pixel
        assert again.json[key] == pytest.approx(outcome.json[key], abs=2e-3), key
    # Without --coco-val: the task follows from the model.
    table = mnasnet("eval", detector_run, f"--data={scene_records}", "--best", "--image-size=96")
    assert table.code == 0, table.err
    for text in ("AP50", "AR_large", "triangle", "96 px"):
        assert text in table.out


def test_a_report_makes_the_folder_of_its_tables_or_refuses_it_first(
    mnasnet: Callable[..., Any], scene_records: Path, tmp_path: Path
) -> None:
    annotations = scene_records.parent / "images/annotations/instances_val2017.json"
    found = tmp_path / "found.json"
    found.write_text("[]")
    assert mnasnet("report", found, annotations, f"--markdown={tmp_path / 'new' / 'tables.md'}").code == 0
    assert (tmp_path / "new" / "tables.md").is_file()
    for option in (f"--markdown={found}/tables.md", f"--plots={found}/plots"):
        message = error_of(mnasnet("report", tmp_path / "nothing.json", annotations, option))
        assert f"can't be written: {found} is a file" in message


def test_what_cannot_be_evaluated_is_one_line(
    mnasnet: Callable[..., Any], detector_run: Path, scene_records: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(scene_records, tmp_path / "other"))
    summary = other / "dataset.json"
    summary.write_text(summary.read_text().replace('"square"', '"cube"'))
    message = error_of(mnasnet("eval", "--coco-val", detector_run, f"--data={other}"))
    assert "4 cube" in message
    under_a_file = f"--detections={summary}/found.json"
    refused = error_of(mnasnet("eval", "--coco-val", detector_run, f"--data={scene_records}", under_a_file))
    assert f"found.json can't be written: {summary} is a file" in refused
    refused = error_of(mnasnet("eval", "--coco-val", detector_run, f"--data={scene_records}", f"--detections={other}"))
    assert "is a folder; name a file" in refused
    assert "use only one of them" in error_of(mnasnet("eval", detector_run, "--coco-val", "--imagenet-val"))
    assert "--detections is for detectors" in error_of(mnasnet("eval", "--imagenet-val", "--detections=a.json"))
