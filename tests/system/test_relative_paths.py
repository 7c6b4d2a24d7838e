"""Paths in files of others."""

from __future__ import annotations

import pytest

from mnasnet_cli.system.relative_paths import check_relative_path


@pytest.mark.parametrize("path", ["model.tflite", "1/variables/variables.index", "a b/[c]", "名.onnx", "n" * 255])
def test_paths_below_a_folder(path: str) -> None:
    assert check_relative_path(path) == path


@pytest.mark.parametrize("path", ["", ".", "/etc/passwd", "../a", "a/../../b", "a\0b", "n" * 256, "a/" * 600, "\ud800"])
def test_other_paths(path: str) -> None:
    with pytest.raises(ValueError, match=r"path|surrogate"):
        check_relative_path(path)
