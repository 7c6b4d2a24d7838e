"""Folders of checkpoints: complete files, the newest ones, checksums, and paths of any characters."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf
from one_weight_model import INFO, one_weight_model

from mnasnet_cli.checkpoints.files import list_checkpoints
from mnasnet_cli.checkpoints.folder import CheckpointFolder
from mnasnet_cli.checkpoints.reader import read_checkpoint
from mnasnet_cli.checkpoints.verification import verify_checkpoint
from mnasnet_cli.checkpoints.writer import SavedState
from mnasnet_cli.errors import CheckpointError

FILES = ("data-00000-of-00001", "index", "sha256")


@pytest.mark.parametrize("name", ["run", "-[run] *?{a,b}\\ 50% $HOME #1@0 图...", "not-utf-8-\udcff"])
def test_the_newest_ones_are_kept(tmp_path: Path, name: str) -> None:
    state, folder = SavedState(one_weight_model(), INFO), tmp_path / name
    for step in (9, 10, 10, 11):
        prefix = state.save(CheckpointFolder(folder, keep=2), step)
    assert prefix == str(folder / "ckpt-11")
    expected = {"checkpoint", *(f"ckpt-{step}.{suffix}" for step in (10, 11) for suffix in FILES)}
    assert {path.name for path in folder.iterdir()} == expected
    assert list_checkpoints(folder) == [str(folder / "ckpt-10"), prefix]
    assert (read_checkpoint(prefix).step, verify_checkpoint(prefix)) == (11, 2)
    state.restore(str(folder / "ckpt-10"))
    assert state.step == 10


def test_tensorflow_finds_the_newest(tmp_path: Path) -> None:
    prefix = SavedState(one_weight_model(), INFO).save(CheckpointFolder(tmp_path, keep=2), 5)
    assert tf.train.latest_checkpoint(str(tmp_path)) == prefix


@pytest.mark.parametrize("suffix", ["data-00000-of-00001", "index"])
@pytest.mark.parametrize("has_checksums", [True, False])
def test_a_flipped_bit_is_found(tmp_path: Path, suffix: str, has_checksums: bool) -> None:
    prefix = SavedState(one_weight_model(), INFO).save(CheckpointFolder(tmp_path, keep=2), 5)
    if not has_checksums:  # of an earlier version: TensorFlow has its own
        Path(f"{prefix}.sha256").unlink()
    assert verify_checkpoint(prefix) == 2
    file = Path(f"{prefix}.{suffix}")
    content = bytearray(file.read_bytes())
    content[8] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"ckpt-5.* is (damaged|not a complete)"):
        verify_checkpoint(prefix)
    file.unlink()
    with pytest.raises(CheckpointError, match="ckpt-5"):
        verify_checkpoint(prefix)


def test_a_failed_write_leaves_the_older_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = SavedState(one_weight_model(), INFO)
    state.save(CheckpointFolder(tmp_path, keep=1), 5)
    before = {path.name for path in tmp_path.iterdir()}

    def full(self: object, prefix: str) -> None:
        Path(f"{prefix}.data-00000-of-00001").write_bytes(b"half")
        raise tf.errors.ResourceExhaustedError(None, None, "part; No space left on device\nmore")

    monkeypatch.setattr(tf.train.Checkpoint, "write", full)
    with pytest.raises(OSError, match="No space left"):
        state.save(CheckpointFolder(tmp_path, keep=1), 6)
    assert {path.name for path in tmp_path.iterdir()} == before
