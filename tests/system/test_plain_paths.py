"""Paths without characters of patterns."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf

from mnasnet_cli.system.plain_paths import plain_folder, plain_prefix

NAMES = (
    "run[1]", "all*", "what?", "{a,b}", "back\\slash", "two words", "Übung-图", "-x", "dots...", "50%", "$HOME", "#1@0",
)  # fmt: skip


def test_a_plain_path_stays_as_it_is(tmp_path: Path) -> None:
    with plain_folder(tmp_path) as plain, plain_prefix(f"{tmp_path}/ckpt-1") as prefix:
        assert (plain, prefix) == (tmp_path, f"{tmp_path}/ckpt-1")
    with plain_prefix(f"{tmp_path}/no[1]/ckpt-1") as prefix:  # TensorFlow says that there is none
        assert prefix == f"{tmp_path}/no[1]/ckpt-1"


@pytest.mark.parametrize("name", [*NAMES, "not-utf-8-\udcff"])
def test_tensorflow_reads_and_writes_there(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    with plain_folder(folder) as plain:
        tf.train.Checkpoint(value=tf.Variable(3.0)).write(str(plain / "ckpt-1"))
    for suffix in (".index", ".data-00000-of-00001"):
        (folder / f"ckpt-1{suffix}").rename(folder / f"{name}{suffix}")
    with pytest.raises((ValueError, tf.errors.OpError)) as caught, plain_prefix(f"{folder}/{name}") as prefix:
        tf.train.load_checkpoint(f"{prefix}-not-there")
    assert f"{folder}/{name}-not-there" in str(caught.value)  # the reason names the path that the user knows
    with plain_prefix(f"{folder}/{name}") as prefix:
        reader = tf.train.load_checkpoint(prefix)
        assert reader.get_tensor("value/.ATTRIBUTES/VARIABLE_VALUE") == 3.0
