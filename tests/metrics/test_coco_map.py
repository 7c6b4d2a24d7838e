"""COCO metrics by hand, with both engines and with plain pycocotools; the self-check of the evaluation."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from detection_cases import as_results, noisy_case, write

from mnasnet_cli.errors import CheckFailed, ConfigError
from mnasnet_cli.metrics.coco_files import parse_detections, parse_ground_truth
from mnasnet_cli.metrics.coco_map import COCO_METRICS, ENGINES, evaluate_detections, self_check


@pytest.mark.parametrize("engine", ENGINES)
def test_a_case_solved_by_hand(engine):
    truth = {
        "images": [{"id": 1}, {"id": 2}],
        "categories": [{"id": 4, "name": "cat"}, {"id": 9, "name": "dog"}],
        "annotations": [
            {"id": 0, "image_id": 1, "category_id": 4, "bbox": [0, 0, 10, 10], "area": 100, "iscrowd": 0},
            {"id": 1, "image_id": 1, "category_id": 4, "bbox": [50, 50, 10, 10], "area": 100, "iscrowd": 0},
        ],
    }
    found = [
        {"image_id": 1, "category_id": 4, "bbox": [0, 0, 10, 10], "score": 0.9},  # the first cat, IoU 1
        {"image_id": 1, "category_id": 4, "bbox": [90, 0, 10, 10], "score": 0.8},  # nothing
        {"image_id": 1, "category_id": 4, "bbox": [50, 50, 10, 6.2], "score": 0.7},  # the second cat, IoU 62 / 100
    ]
    result = evaluate_detections(parse_ground_truth(truth, "truth"), parse_detections(found, "found"), engine)
    # IoU 0.50, 0.55, 0.60: precision 1 up to recall 1/2, that is at 51 of the 101 levels, then 2/3 at the other 50.
    loose = (51 + 50 * 2 / 3) / 101
    # From IoU 0.65 on the second cat is missed: precision 1 at 51 levels, then 0.
    strict = 51 / 101
    expected = {
        "AP": (3 * loose + 7 * strict) / 10,
        "AP50": loose,
        "AP75": strict,
        "AP_small": (3 * loose + 7 * strict) / 10,  # both have 100 px², below 32²
        "AP_medium": None,
        "AP_large": None,
        "AR1": 0.5,  # the best detection finds one of two
        "AR10": (3 * 1 + 7 * 0.5) / 10,
        "AR100": 0.65,
        "AR_small": 0.65,
        "AR_medium": None,
        "AR_large": None,
    }
    assert result.metrics == {key: value and pytest.approx(value) for key, value in expected.items()}
    assert result.images == 2
    cat, dog = result.per_class
    assert (cat["class"], cat["name"], cat["annotations"]) == (4, "cat", 2)
    assert cat["AP"] == pytest.approx(expected["AP"])
    assert dog == {"class": 9, "name": "dog", "annotations": 0, "AP": None, "AP50": None}


@pytest.mark.parametrize("seed", range(3))
def test_both_engines_agree_with_plain_pycocotools(tmp_path, seed):
    truth, found = noisy_case(seed=seed)
    found_path, truth_path = write(tmp_path, truth, found)
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        plain_truth = COCO(str(truth_path))
        plain = COCOeval(plain_truth, plain_truth.loadRes(str(found_path)), "bbox")
        plain.evaluate()
        plain.accumulate()
        plain.summarize()
    assert plain.stats[0] > 0.02
    results = {
        name: evaluate_detections(parse_ground_truth(truth, ""), parse_detections(found, ""), name) for name in ENGINES
    }
    for result in results.values():
        numbers = [-1 if result.metrics[name] is None else result.metrics[name] for name in COCO_METRICS]
        np.testing.assert_allclose(numbers, plain.stats, rtol=0, atol=1e-12)
    np.testing.assert_allclose(results["faster"].precision, results["pycocotools"].precision, rtol=0, atol=1e-12)
    assert [row["AP"] is None for row in results["faster"].per_class] == [False] * 5 + [True]


@pytest.mark.parametrize("engine", ENGINES)
def test_no_detections_score_zero_where_something_is_defined(engine):
    truth, _ = noisy_case()
    result = evaluate_detections(parse_ground_truth(truth, ""), parse_detections([], ""), engine)
    assert set(result.metrics.values()) == {0.0}


@pytest.mark.parametrize("engine", ENGINES)
def test_an_annotation_with_id_0_counts(engine):
    truth, _ = noisy_case()
    for number, row in enumerate(truth["annotations"]):
        row["id"] = number
    checked = parse_ground_truth(truth, "truth.json")
    [note] = checked.notes
    assert note.startswith("truth.json: 1 annotation ids ")
    assert evaluate_detections(checked, parse_detections(as_results(truth), ""), engine).metrics["AP"] == 1.0


def hard_truth():
    """More boxes of one class than the limit, equal boxes, a box without area, a crowd over everything, wrong areas."""
    truth, _ = noisy_case()
    extra = [[10 + 3 * i, 20, 2.5, 40] for i in range(120)] + [[5, 5, 60, 60]] * 2 + [[8, 8, 0, 30]]
    for box in extra:
        truth["annotations"].append({"image_id": 7, "category_id": 1, "bbox": box, "area": 5000, "iscrowd": 0})
    truth["annotations"].append({"image_id": 7, "category_id": 1, "bbox": [0, 0, 400, 300], "iscrowd": 1})
    return parse_ground_truth(truth, "hard")


@pytest.mark.parametrize("engine", ENGINES)
def test_self_check_passes_on_unusual_ground_truth(engine):
    self_check(hard_truth(), engine=engine)
    empty = {"images": [{"id": 1}], "annotations": [], "categories": [{"id": 1}]}
    self_check(parse_ground_truth(empty, "empty"), engine=engine)


@pytest.mark.parametrize("fault", ["class", "image", "scale"])
def test_self_check_finds_changes_by_the_evaluator(fault):
    truth, _ = noisy_case()
    rows = as_results(truth)
    for row in rows:
        if fault == "class":
            row["category_id"] = {1: 2, 2: 1}.get(row["category_id"], row["category_id"])
        elif fault == "image":
            row["image_id"] = {7: 10, 10: 7}.get(row["image_id"], row["image_id"])
        else:
            row["bbox"] = [value * 1.02 for value in row["bbox"]]
    self_check(parse_ground_truth(truth, "truth"), parse_detections(as_results(truth), ""))
    with pytest.raises(CheckFailed, match=r"truth .*AP 0\.\d+"):
        self_check(parse_ground_truth(truth, "truth"), parse_detections(rows, ""))


def test_unknown_engine():
    truth, found = noisy_case(2, 2)
    with pytest.raises(ConfigError, match=r"'fast'.*faster.*pycocotools"):
        evaluate_detections(parse_ground_truth(truth, ""), parse_detections(found, ""), "fast")
