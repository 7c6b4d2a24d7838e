"""Invalid options are reported with the name of the flag."""

from __future__ import annotations

from typing import Any

import pytest

from data_prep.options import CocoOptions, Options
from mnasnet_cli.errors import ConfigError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_shards": 0}, r"--train-shards.*1\.\.99999.*0"),
        ({"val_shards": 100_000}, r"--val-shards.*1\.\.99999.*100000"),
        ({"part": (0, 3)}, "--part.*0/3"),
        ({"part": (4, 3)}, "--part.*4/3"),
        ({"workers": -1}, "--workers.*-1"),
        ({"max_side": 0}, r"--max-side.*1\.\.65500.*0"),
        ({"on_bad_image": "x"}, "--on-bad-image.*fail or skip.*x"),
        ({"on_bad_annotation": "x"}, "--on-bad-annotation.*fail or skip.*x"),
    ],
)
def test_invalid_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CocoOptions(**options)


def test_defaults_are_those_of_the_data_sets() -> None:
    assert (Options().most_shards["train"], Options().most_shards["validation"]) == (1024, 128)
    assert (CocoOptions().most_shards["train"], CocoOptions().most_shards["validation"]) == (100, 10)
