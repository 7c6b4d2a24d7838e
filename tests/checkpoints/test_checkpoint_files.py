"""Which checkpoints are complete, and which one a MODEL argument means."""

from __future__ import annotations

from pathlib import Path

import pytest
from one_weight_model import INFO, one_weight_model

from mnasnet_cli.checkpoints.files import find_checkpoint, list_checkpoints, newest_checkpoint, remove_unfinished
from mnasnet_cli.checkpoints.folder import CheckpointFolder
from mnasnet_cli.checkpoints.writer import SavedState
from mnasnet_cli.errors import CheckpointError


def save(folder: Path, *steps: int) -> None:
    state = SavedState(one_weight_model(), INFO)
    checkpoints = CheckpointFolder(folder, keep=5)
    for step in steps:
        state.save(checkpoints, step)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def listed(folder: Path) -> list[str]:
    return [Path(prefix).name for prefix in list_checkpoints(folder)]


def test_checkpoints_are_listed_by_age(tmp_path: Path) -> None:
    assert listed(tmp_path / "nothing") == []
    save(tmp_path, 9, 10)
    assert listed(tmp_path) == ["ckpt-9", "ckpt-10"]
    (tmp_path / "ckpt-9.index").unlink()
    assert listed(tmp_path) == ["ckpt-10"]


@pytest.mark.parametrize("content", [b"", b"\xff\x00\x80", b"nonsense", None])
def test_a_damaged_state_file_hides_nothing(tmp_path: Path, content: bytes | None) -> None:
    save(tmp_path, 9, 10)
    state_file = tmp_path / "checkpoint"
    state_file.unlink() if content is None else state_file.write_bytes(content)
    assert listed(tmp_path) == ["ckpt-9", "ckpt-10"]
    remove_unfinished(tmp_path)
    assert listed(tmp_path) == ["ckpt-9", "ckpt-10"]


def test_unfinished_files_are_removed(tmp_path: Path) -> None:
    save(tmp_path, 1)
    complete = names(tmp_path)
    (tmp_path / "ckpt-2_temp").mkdir()
    (tmp_path / "ckpt-2_temp" / "part-00000-of-00001.data-00000-of-00001").write_bytes(b"half")
    (tmp_path / "ckpt-2.data-00000-of-00001").write_bytes(b"complete, but without an index")
    (tmp_path / "checkpoint.tmp0123456789abcdef").write_bytes(b"")
    remove_unfinished(tmp_path)
    assert names(tmp_path) == complete


def test_newest_and_best(tmp_path: Path) -> None:
    save(tmp_path / "checkpoints", 1, 2)
    assert newest_checkpoint(tmp_path, best=True) == f"{tmp_path}/checkpoints/ckpt-2"  # there is no best one yet
    save(tmp_path / "best", 1)
    assert newest_checkpoint(tmp_path) == f"{tmp_path}/checkpoints/ckpt-2"
    assert newest_checkpoint(tmp_path, best=True) == f"{tmp_path}/best/ckpt-1"


def test_a_model_is_a_run_or_a_prefix(tmp_path: Path) -> None:
    save(tmp_path / "run" / "checkpoints", 1)
    prefix = f"{tmp_path}/run/checkpoints/ckpt-1"
    for model in (str(tmp_path / "run"), prefix, f"{prefix}.index"):
        assert find_checkpoint(model) == prefix
    for model, fact in ((f"{tmp_path}/nothing", f"{tmp_path}/nothing"), (str(tmp_path), f"--run-dir {tmp_path}")):
        with pytest.raises(CheckpointError) as caught:
            find_checkpoint(model)
        assert fact in str(caught.value)


def test_a_model_is_a_folder_of_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "run" / "checkpoints", 1, 2)
    save(tmp_path / "run" / "best", 1)
    assert find_checkpoint(f"{tmp_path}/run/checkpoints") == f"{tmp_path}/run/checkpoints/ckpt-2"
    best = f"{tmp_path}/run/best/ckpt-1"
    for folder, asked in (("best", False), ("best", True), ("checkpoints", True)):
        assert find_checkpoint(f"{tmp_path}/run/{folder}", best=asked) == best
    monkeypatch.chdir(tmp_path / "run" / "checkpoints")
    assert Path(find_checkpoint(".", best=True)) == Path(best)
