"""Numbers and names in tables."""

from __future__ import annotations

import pytest

from mnasnet_cli.screen.numbers import class_columns, percent


@pytest.mark.parametrize(("fraction", "text"), [(0.8261, "82.6 %"), (1.0, "100.0 %"), (0.0, "0.0 %"), (None, "n/a")])
def test_percent(fraction, text):
    assert percent(fraction) == text


def test_class_and_name_are_one_column_where_they_are_alike():
    assert class_columns([("cat", "cat"), ("dog", "")]) == (("class",), [("cat",), ("dog",)])
    rows = [("n01", "tench"), ("cat", "cat")]
    assert class_columns(rows) == (("class", "name"), rows)
