"""Systematic differences between category ids are recognized."""

from __future__ import annotations

import pytest
from detection_cases import CATEGORY_IDS, as_results, noisy_case

from mnasnet_cli.errors import DataError
from mnasnet_cli.metrics.category_ids import check_category_ids
from mnasnet_cli.metrics.coco_files import parse_detections, parse_ground_truth

RANKS = {category: number for number, category in enumerate(CATEGORY_IDS, 1)}


def warning(truth, found):
    return check_category_ids(parse_ground_truth(truth, "truth.json"), parse_detections(found, "found.json"))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda category: category + 1, "shifted up by one"),
        (lambda category: category - 1, "shifted down by one"),
        (lambda category: RANKS[category], "from 1"),
        (lambda category: RANKS[category] - 1, "from 0"),
    ],
)
def test_systematic_differences(change, expected):
    truth, found = noisy_case()
    for row in found:
        row["category_id"] = change(row["category_id"])
    assert expected in str(warning(truth, found))


def test_correct_ids_have_no_warning():
    truth, found = noisy_case()
    assert warning(truth, found) is None
    assert warning(truth, as_results(truth)) is None
    assert warning(truth, []) is None


def test_one_category():
    truth, _ = noisy_case()
    truth["categories"] = truth["categories"][:1]
    for row in truth["annotations"]:
        row["category_id"] = 1
    assert "shifted up by one" in str(warning(truth, as_results(truth, shift=1)))


def test_unknown_ids_without_a_system():
    truth, found = noisy_case()
    found[3]["category_id"] = 77
    with pytest.raises(DataError, match=r"found\.json: 1 of 600 .*truth\.json.* 77"):
        warning(truth, found)


def test_ids_without_any_overlap_are_explained_by_their_range():
    truth, found = noisy_case()
    for row in found:
        row["category_id"] = RANKS[row["category_id"]] - 1
        row["bbox"] = [900, 900, 5, 5]
    assert "from 0" in str(warning(truth, found))
