"""The report: warnings about suspicious detections, its summary, and its Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from detection_cases import as_results, noisy_case, write

from mnasnet_cli.errors import ConfigError, DataError
from mnasnet_cli.metrics.coco_files import parse_detections, parse_ground_truth
from mnasnet_cli.metrics.coco_map import COCO_METRICS
from mnasnet_cli.metrics.coco_report import MEANINGS, check_detections, metric_rows, report_files


def warnings(truth: Any, found: Any) -> list[str]:
    return check_detections(parse_ground_truth(truth, "truth.json"), parse_detections(found, "found.json"))


def test_sound_detections_have_no_warning() -> None:
    assert warnings(*noisy_case()) == []


def test_no_detections() -> None:
    [warning] = warnings(noisy_case()[0], [])
    assert "found.json" in warning


def test_boxes_in_other_formats() -> None:
    truth, _ = noisy_case()
    corners, normalized, negative = as_results(truth), as_results(truth), as_results(truth)
    for row in corners:
        x, y, width, height = row["bbox"]
        row["bbox"] = [2 * x, 2 * y, 2 * (x + width), 2 * (y + height)]
    for row in normalized:
        row["bbox"] = [value / 400 for value in row["bbox"]]
    negative[0]["bbox"] = [50, 50, -10, 10]
    assert "[x1, y1, x2, y2]" in " ".join(warnings(truth, corners))
    assert "[0, 1]" in " ".join(warnings(truth, normalized))
    assert f"1 of {len(negative)} " in " ".join(warnings(truth, negative))
    for entry in truth["images"]:
        del entry["width"]
    assert warnings(truth, corners) == []  # the image sizes are unknown


def test_unknown_images() -> None:
    truth, found = noisy_case()
    found[0]["image_id"] = 999
    with pytest.raises(DataError, match=r"found\.json: 1 of 600 .*truth\.json.* 999"):
        warnings(truth, found)


@pytest.mark.parametrize("engine", ["faster", "pycocotools"])
def test_the_summary_and_its_markdown(tmp_path: Path, engine: str) -> None:
    truth, found = noisy_case()
    for row in truth["annotations"]:
        row["area"] = min(row["area"], 900)  # medium and large are undefined
    paths = write(tmp_path, truth, found)
    summary = report_files(*paths, engine=engine, plots=tmp_path / "plots", markdown=tmp_path / "report.md")
    assert (summary["engine"], summary["images"], summary["warnings"]) == (engine, 20, [])
    assert {summary[name] is None for name in ("AP_medium", "AP_large", "AR_medium", "AR_large")} == {True}
    assert [Path(path).name for path in summary["plots"]] == [
        "pr_curves.png", "ap_per_class.png", "confusion.png"
    ]  # fmt: skip
    assert all(Path(path).is_file() for path in summary["plots"])
    lines = (tmp_path / "report.md").read_text().splitlines()
    assert f"| AP50 | {MEANINGS['AP50']} | {summary['AP50']:.3f} |" in lines
    assert f"| AP_large | {MEANINGS['AP_large']} | n/a |" in lines
    assert sum(line.startswith("| ") for line in lines) == 2 * 2 + 12 + len(summary["per_class"])
    assert [row[0] for row in metric_rows(summary)] == list(COCO_METRICS)


def test_faulty_arguments(tmp_path: Path) -> None:
    paths = write(tmp_path, *noisy_case(2, 2))
    with pytest.raises(ConfigError, match="'slow'"):
        report_files(*paths, engine="slow")
    with pytest.raises(ConfigError, match="--plots"):
        report_files(*paths, images=tmp_path)
    with pytest.raises(ConfigError, match=str(tmp_path / "none")):
        report_files(*paths, images=tmp_path / "none", plots=tmp_path)
