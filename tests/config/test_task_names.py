"""Words for the tasks in files of this version and of older ones."""

from __future__ import annotations

import pytest

from mnasnet_cli.config.loading import load_config
from mnasnet_cli.config.task_names import parse_task
from mnasnet_cli.errors import ConfigError


@pytest.mark.parametrize(
    ("word", "task"),
    [
        ("classification", "classification"),
        ("imagenet", "classification"),
        ("classifier", "classification"),
        ("detection", "detection"),
        ("coco", "detection"),
        ("detector", "detection"),
    ],
)
def test_old_and_new_words(word: str, task: str) -> None:
    assert parse_task(word) == task


def test_an_unknown_word_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"'segmentation'.*classification, detection"):
        parse_task("segmentation")
    with pytest.raises(ConfigError, match=r"task: .*'segmentation'"):
        load_config(assignments=["task=segmentation"])


def test_a_configuration_with_an_old_word_is_the_same() -> None:
    assert load_config(base={"task": "coco"}) == load_config(task="detection")
