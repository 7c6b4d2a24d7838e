"""Facts of a shard: columns, their JSON, and joining them."""

from __future__ import annotations

import json

import pytest

from mnasnet_cli.health.facts import NO_BOXES, NO_LABEL, Facts, ImageBoxes

BOXES = ImageBoxes([(0.0, 0.25, 0.5, 1.0), (-0.5, 0.5, 1.5, 0.75)], [3, 1], [False, True], [12.5, 7.0])


def make() -> Facts:
    facts = Facts()
    facts.add(b"123456789", 40, 30, 3, NO_LABEL, BOXES)
    facts.add(b"other", 70_000, 8, 1, NO_LABEL, ImageBoxes([], [], [], []))
    facts.add_problem("turned-image", 1)
    return facts


def test_columns() -> None:
    facts = make()
    assert len(facts) == 2
    columns = {name: list(column) for name, column in facts.columns.items()}
    assert columns["crc"][0] == 0xE3069283  # the check value of CRC-32C
    assert (columns["size"], columns["width"], columns["height"]) == ([9, 5], [40, 65_535], [30, 8])
    assert (columns["channels"], columns["boxes"], columns["box_label"]) == ([3, 1], [2, 0], [3, 1])
    assert (columns["box_width"], columns["box_height"]) == ([0.75, 0.25], [0.5, 1.0])  # clipped to the image
    assert (columns["box_area"], columns["box_crowd"]) == ([12.5, 7.0], [0, 1])
    assert list(facts.box_ranges()) == [(0, 2), (2, 2)]


def test_an_image_with_a_class_has_no_boxes() -> None:
    facts = Facts()
    facts.add(b"1", 4, 3, 3, 7)
    assert (facts.columns["label"][0], facts.columns["boxes"][0]) == (7, NO_BOXES)


def test_json_round_trip() -> None:
    facts = make()
    text = json.dumps(facts.to_json())
    read = Facts.parse(json.loads(text))
    assert read.columns == facts.columns
    assert read.problems == facts.problems == {"turned-image": [1, 1]}
    assert Facts.parse(Facts().to_json()).columns == Facts().columns


def test_facts_of_many_images_are_small() -> None:
    facts = Facts()
    for number in range(1_000):
        facts.add(str(number).encode() * 50, 224, 224, 3, number % 10)
    assert len(json.dumps(facts.to_json())) < 12_000


@pytest.mark.parametrize("damage", [{"crc": "!"}, {"crc": "AAAA"}, {"width": ""}])
def test_damaged_json_is_refused(damage: dict[str, str]) -> None:
    stored = make().to_json()
    with pytest.raises(ValueError, match=r"."):
        Facts.parse(stored | damage)


def test_joining() -> None:
    facts = make()
    facts.extend(make())
    assert len(facts) == 4
    assert facts.problems == {"turned-image": [2, 1]}  # the first one stays
    assert list(facts.box_ranges())[2] == (2, 4)
    facts.relabel_boxes(lambda label: label + 10)
    assert list(facts.columns["box_label"]) == [13, 11, 13, 11]
