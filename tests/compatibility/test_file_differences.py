"""The comparison of two revisions finds what differs."""

from __future__ import annotations

from pathlib import Path

import file_differences
import numpy as np
import tensorflow as tf


def test_values() -> None:
    before = {"a": {"b": [1, 2.0]}, "seconds": 1.0, "c": None}
    assert file_differences.values(before, {"a": {"b": [1, 2.0]}, "seconds": 2.0, "c": None}) == ""
    assert file_differences.values(before, {"a": {"b": [1, 3.0]}, "c": None}) == "a.b[1]: 2.0 is now 3.0"
    assert file_differences.values(before, {"a": {"b": [1]}, "c": None}) == "a.b: [1, 2.0] is now [1]"
    assert file_differences.values({}, {"d": 1}) == "d is in one only (after)"


def test_folder_bytes(tmp_path: Path) -> None:
    for name, content in (("before/a", b"123"), ("after/a", b"124"), ("after/b", b""), ("after/c/id", b"1")):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    found = file_differences.folder_bytes(tmp_path / "before", tmp_path / "after", left_out=("id",))
    assert found == "b is in one only; a: 1 of 3 bytes differ"
    assert file_differences.folder_bytes(tmp_path / "after", tmp_path / "after") == ""


def test_checkpoints(tmp_path: Path) -> None:
    def write(name: str, value: float, text: str) -> str:
        parts = {"w": tf.Variable([1.0, value]), "info": tf.Variable(text)}
        return str(tf.train.Checkpoint(**parts).write(str(tmp_path / name)))

    before = write("before", 2.0, '{"size": 1}')
    assert file_differences.checkpoints(before, write("same", 2.0, '{"size": 1}')) == ""
    found = file_differences.checkpoints(before, write("after", np.nextafter(np.float32(2.0), 3.0), '{"size": 2}'))
    assert "info/.ATTRIBUTES/VARIABLE_VALUE: size: 1 is now 2" in found
    assert "w/.ATTRIBUTES/VARIABLE_VALUE by up to 2.38e-07" in found


def test_outputs() -> None:
    before = {"logits": np.float32([1, 2])}
    assert file_differences.outputs(before, {"logits": np.float32([1, 2])}) == ""
    assert file_differences.outputs(before, {"logits": np.float32([1, 3])}) == "logits by up to 1"
    assert file_differences.outputs(before, {}) == "logits is in one only"
