"""`mnasnet report`: JSON keys, tables and files; faulty input is one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from detection_cases import as_results, noisy_case, write
from PIL import Image

KEYS = ["AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large",
        "AR1", "AR10", "AR100", "AR_small", "AR_medium", "AR_large"]  # fmt: skip
Command = Callable[..., Any]


def run(mnasnet: Command, tmp_path: Path, truth: Any, found: Any, *flags: Any) -> Any:
    return mnasnet("report", *write(tmp_path, truth, found), *flags)


def test_json_has_the_same_keys_and_numbers_with_both_engines(mnasnet: Command, tmp_path: Path) -> None:
    truth, found = noisy_case()
    results = []
    for flags in ((), ("--engine", "pycocotools")):
        result = run(mnasnet, tmp_path, truth, found, "--json", *flags)
        assert result.code == 0, result.err
        assert result.err == ""
        results.append({key: result.json[key] for key in (*KEYS, "images", "per_class")})
    assert results[0] == results[1]
    assert results[0]["images"] == 20
    assert all(0 < results[0][key] < 1 for key in KEYS)
    last = results[0]["per_class"][-1]
    assert last == {"class": 13, "name": "class 13", "annotations": 0, "AP": None, "AP50": None}


def test_tables_plots_images_and_markdown(mnasnet: Command, tmp_path: Path) -> None:
    truth, found = noisy_case()
    (tmp_path / "images").mkdir()
    for entry in truth["images"][1:]:
        Image.new("RGB", (entry["width"], entry["height"]), "gray").save(tmp_path / "images" / entry["file_name"])
    for row in truth["annotations"]:
        row["area"] = min(row["area"], 900)  # medium and large are undefined
    flags = ("--plots", tmp_path / "plots", "--images", tmp_path / "images", "--markdown", tmp_path / "report.md")
    result = run(mnasnet, tmp_path, truth, found, *flags)
    assert result.code == 0, result.err
    assert "1 of 20 images" in result.err
    numbers = run(mnasnet, tmp_path, truth, found, "--json").json
    assert f"{numbers['AP']:.1%}".replace("%", " %") in result.out
    assert "n/a" in result.out
    names = sorted(path.name for path in (tmp_path / "plots").iterdir())
    assert names == ["ap_per_class.png", "best_images.png", "confusion.png", "pr_curves.png", "worst_images.png"]
    for name in names:
        with Image.open(tmp_path / "plots" / name) as picture:
            assert len(picture.convert("RGB").getcolors(1 << 24) or ()) > 20
    markdown = (tmp_path / "report.md").read_text()
    assert f"{numbers['AP50']:.3f} |" in markdown


def test_ground_truth_scores_1(mnasnet: Command, tmp_path: Path) -> None:
    truth, _ = noisy_case()
    result = run(mnasnet, tmp_path, truth, as_results(truth), "--json")
    assert result.code == 0, result.err
    assert {result.json[key] for key in KEYS if key.startswith("AP")} == {1.0}
    assert result.err == ""


def test_other_category_ids_are_a_warning(mnasnet: Command, tmp_path: Path) -> None:
    truth, found = noisy_case()
    for row in found:
        row["category_id"] += 1
    result = run(mnasnet, tmp_path, truth, found, "--json")
    assert result.code == 0, result.err
    assert len(result.err.splitlines()) == 1
    assert "shifted up by one" in result.err
    assert len(result.json["warnings"]) == 1


def test_an_empty_list_scores_0(mnasnet: Command, tmp_path: Path) -> None:
    result = run(mnasnet, tmp_path, noisy_case()[0], [], "--json")
    assert result.code == 0, result.err
    assert {result.json[key] for key in KEYS} == {0.0}
    assert "detections.json" in result.err


@pytest.mark.parametrize(
    ("flags", "fact"),
    [(["--engine=slow"], "'slow'"), (["--images=."], "--plots"), (["--images=none", "--plots=plots"], "none")],
)
def test_faulty_flags_are_one_line(
    mnasnet: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], fact: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_one_line(run(mnasnet, tmp_path, *noisy_case(2, 2), *flags), fact)


def test_faulty_files_are_one_line(mnasnet: Command, tmp_path: Path) -> None:
    found, truth = write(tmp_path, *noisy_case(2, 2))
    assert_one_line(mnasnet("report", truth, found), "DETECTIONS.json ANNOTATIONS.json")
    assert_one_line(mnasnet("report", tmp_path / "none.json", truth), "none.json")
    flags = ("--images", tmp_path, "--plots", tmp_path / "plots")
    assert_one_line(mnasnet("report", found, truth, *flags), "0.jpg")
    found.write_text('[{"image_id": 7,')
    assert_one_line(mnasnet("report", found, truth, "--json"), "detections.json")


def assert_one_line(result: Any, fact: str) -> None:
    assert result.code == 2, result.out + result.err
    assert result.out == ""
    assert len(result.err.strip().splitlines()) == 1, result.err
    assert fact in result.err
