"""The names of splits."""

from __future__ import annotations

import pytest

from data_prep.split_names import split_of


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ("train", "train Train TRAINING train2017 train_2014 training_set trainset train_images"),
        ("validation", "val valid Validation VAL val2017 validation_set dev Eval evaluation"),
        ("test", "test Testing TEST test2017 test-set"),
        (None, "trainer values tests best train1 images 2017 trainval"),
    ],
)
def test_splits_are_named_in_many_ways(split: str | None, names: str) -> None:
    assert {name: split_of(name) for name in names.split()} == dict.fromkeys(names.split(), split)
