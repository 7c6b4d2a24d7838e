"""`mnasnet report`: the contract's keys, tables and files, wrong class numbers, and faulty input."""

from __future__ import annotations

import json

import pytest
from detection_cases import CATEGORY_IDS, as_results, noisy_case, write
from PIL import Image

KEYS = ["AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large",
        "AR1", "AR10", "AR100", "AR_small", "AR_medium", "AR_large"]  # fmt: skip


def run(mnasnet, tmp_path, truth, found, *flags):
    return mnasnet("report", *write(tmp_path, truth, found), *flags)


def test_json_has_the_contract_s_keys_with_either_engine(mnasnet, tmp_path):
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


def test_tables_plots_pictures_and_markdown(mnasnet, tmp_path):
    truth, found = noisy_case()
    (tmp_path / "images").mkdir()
    for entry in truth["images"][1:]:
        Image.new("RGB", (entry["width"], entry["height"]), "gray").save(tmp_path / "images" / entry["file_name"])
    for row in truth["annotations"]:
        row["area"] = min(row["area"], 900)  # so that medium and large are undefined
    flags = ("--plots", tmp_path / "plots", "--images", tmp_path / "images", "--markdown", tmp_path / "report.md")
    result = run(mnasnet, tmp_path, truth, found, *flags)
    assert result.code == 0, result.err
    assert "lacks 1 of 20 images" in result.err
    numbers = run(mnasnet, tmp_path, truth, found, "--json").json
    assert f"{numbers['AP']:.3f}" in result.out
    assert "n/a" in result.out
    assert "1 classes without annotations are left out" in result.out
    names = sorted(path.name for path in (tmp_path / "plots").iterdir())
    assert names == ["ap_per_class.png", "best_images.png", "pr_curves.png", "worst_images.png"]
    for name in names:
        with Image.open(tmp_path / "plots" / name) as picture:
            assert len(picture.convert("RGB").getcolors(1 << 24)) > 20
    markdown = (tmp_path / "report.md").read_text()
    assert f"| AP50 | IoU 0.50 | {numbers['AP50']:.3f} |" in markdown
    assert "| AP_large | IoU 0.50:0.95, area above 96² px | n/a |" in markdown


def test_ground_truth_scores_1(mnasnet, tmp_path):
    truth, _ = noisy_case()
    result = run(mnasnet, tmp_path, truth, as_results(truth), "--json")
    assert result.code == 0, result.err
    assert {result.json[key] for key in KEYS if key.startswith("AP")} == {1.0}
    assert result.err == ""


RANKS = {identity: number for number, identity in enumerate(CATEGORY_IDS, 1)}


@pytest.mark.parametrize(
    ("renumber", "looks"),
    [
        (lambda identity: identity + 1, "shifted up by one"),
        (lambda identity: identity - 1, "shifted down by one"),
        (lambda identity: RANKS[identity], "counted through from 1"),
        (lambda identity: RANKS[identity] - 1, "counted through from 0"),
    ],
)
def test_other_class_numbers_are_named(mnasnet, tmp_path, renumber, looks):
    truth, found = noisy_case()
    right = run(mnasnet, tmp_path, truth, found, "--json")
    for row in found:
        row["category_id"] = renumber(row["category_id"])
    result = run(mnasnet, tmp_path, truth, found, "--json")
    assert result.code == 0, result.err
    assert len(result.err.splitlines()) == 1
    assert f"look {looks}" in result.err
    assert result.json["AP"] < right.json["AP"]


def test_one_class_shifted_scores_0_with_a_warning(mnasnet, tmp_path):
    truth, _ = noisy_case()
    truth["categories"] = truth["categories"][:1]
    for row in truth["annotations"]:
        row["category_id"] = 1
    result = run(mnasnet, tmp_path, truth, as_results(truth, shift=1), "--json")
    assert result.code == 0, result.err
    assert result.json["AP"] == 0
    assert "look shifted up by one" in result.err


def test_an_empty_list_scores_0(mnasnet, tmp_path):
    result = run(mnasnet, tmp_path, noisy_case()[0], [], "--json")
    assert result.code == 0, result.err
    assert {result.json[key] for key in KEYS} == {0.0}
    assert "holds no detections" in result.err


GOOD = {"image_id": 7, "category_id": 1, "bbox": [0, 0, 5, 5], "score": 0.5}


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([GOOD, {**GOOD, "image_id": 999}], "1 of 2 detections are of images that * doesn't list * image_id 999"),
        ([GOOD, {**GOOD, "category_id": 77}], "1 of 2 detections have a category_id that * doesn't know: 77"),
        ([GOOD, {**GOOD, "bbox": [1, 2, 3]}], "detection 1 has the bbox [1, 2, 3]; [x, y, width, height] is expected"),
        ([GOOD, {**GOOD, "score": "high"}], "detection 1 has the score 'high'; a number is expected"),
        ([{**GOOD, "score": float("nan")}], "detection 0 has the score nan; a number is expected"),
        ([{**GOOD, "image_id": "7"}], "detection 0 has the image_id '7'; a whole number is expected"),
        ([{"image_id": 7, "category_id": 1, "segmentation": {}, "score": 1}], "detection 0 has no 'bbox'"),
        ([3], "detection 0 is '3'"),
        ({"boxes": []}, "is no COCO results file: expected a list of"),
        (noisy_case(2, 2)[0], "holds ground truth where detections are expected; the order is"),
    ],
)
def test_faulty_detections_are_one_line_and_exit_code_2(mnasnet, tmp_path, found, message):
    result = run(mnasnet, tmp_path, noisy_case()[0], found, "--json")
    assert_one_line(result, message)


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        ({"images": []}, "is no COCO annotation file: it has no list 'annotations' (it has: images)"),
        ([], "is no COCO annotation file: expected an object with images, annotations, categories"),
        ([GOOD], "holds detections where ground truth is expected; the order is"),
        ({"images": [{"id": "a"}], "annotations": [], "categories": []}, "image 0 has the id 'a'; a whole number"),
        ({**noisy_case(2, 2)[0], "annotations": [{"image_id": 7}]}, "annotation 0 has no 'category_id'"),
    ],
)
def test_faulty_ground_truth_is_one_line_and_exit_code_2(mnasnet, tmp_path, truth, message):
    result = run(mnasnet, tmp_path, truth, [GOOD], "--json")
    assert_one_line(result, message)


def test_files_that_are_no_json(mnasnet, tmp_path):
    found, truth = write(tmp_path, *noisy_case(2, 2))
    assert_one_line(mnasnet("report", tmp_path / "none.json", truth), "none.json does not exist")
    assert_one_line(mnasnet("report", tmp_path, truth), "is a folder; a JSON file is expected")
    found.write_text('[{"image_id": 7,')
    assert_one_line(mnasnet("report", found, truth), "is no JSON: * in line 1, column")
    found.write_bytes(b"\x89PNG\xff\xfe")
    assert_one_line(mnasnet("report", found, truth), "is no JSON")


def test_flags(mnasnet, tmp_path):
    paths = write(tmp_path, *noisy_case(2, 2))
    assert_one_line(mnasnet("report", *paths, "--engine", "slow"), "no evaluation engine 'slow'")
    assert_one_line(mnasnet("report", *paths, "--images", tmp_path), "--images needs --plots DIR")
    flags = ("--images", tmp_path, "--plots", tmp_path / "plots")
    assert_one_line(mnasnet("report", *paths, *flags), "holds none of the images of * (the first is 0.jpg)")
    assert_one_line(mnasnet("report", *paths, "--images", tmp_path / "no", "--plots", tmp_path), "no is no folder")


def test_boxes_in_another_form_are_warned_about(mnasnet, tmp_path):
    truth, _ = noisy_case()
    corners, normalised = as_results(truth), as_results(truth)
    for row in corners:
        x, y, width, height = row["bbox"]
        row["bbox"] = [2 * x, 2 * y, 2 * (x + width), 2 * (y + height)]
    for row in normalised:
        row["bbox"] = [value / 400 for value in row["bbox"]]
    assert "reach far beyond their image" in run(mnasnet, tmp_path, truth, corners, "--json").err
    assert "they look normalised" in run(mnasnet, tmp_path, truth, normalised, "--json").err


def test_annotations_without_areas_or_images_are_noted(mnasnet, tmp_path):
    truth, found = noisy_case()
    del truth["annotations"][0]["area"]
    truth["annotations"].append({**truth["annotations"][1], "id": 4000, "image_id": 4000})
    result = run(mnasnet, tmp_path, truth, found, "--json")
    assert result.code == 0, result.err
    assert [line.split(": ")[-1] for line in result.err.splitlines()] == [
        "1 annotations have no area; width × height stands in for it",
        "1 annotations of images that the file doesn't list are left out",
    ]
    assert len(json.loads(result.out)["warnings"]) == 2


def assert_one_line(result, message):
    assert result.code == 2, result.out + result.err
    assert result.out == ""
    assert len(result.err.strip().splitlines()) == 1, result.err
    rest = result.err
    for part in message.split(" * "):
        assert part in rest, result.err
        rest = rest[rest.index(part) + len(part) :]
