"""Folders that appear only when they are complete."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
import tensorflow as tf

from mnasnet_cli.errors import DataError, EnvironmentProblem
from mnasnet_cli.export.staging import check_replaceable, staged_folder


def _names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_folder_appears_at_the_end_of_the_block(tmp_path: Path) -> None:
    target = tmp_path / "new" / "frozen"
    with staged_folder(target) as folder:
        (folder / "file").write_text("new")
        assert not target.exists()
        assert folder.parent == target.parent  # the same disk, so that it can be renamed
    assert _names(tmp_path) == ["new", "new/frozen", "new/frozen/file"]


def test_an_older_folder_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "frozen"
    target.mkdir()
    (target / "old").write_text("")
    with staged_folder(target) as folder:
        (folder / "new").write_text("")
        assert _names(target) == ["old"]
    assert _names(tmp_path) == ["frozen", "frozen/new"]


def test_an_error_leaves_the_older_folder(tmp_path: Path) -> None:
    target = tmp_path / "frozen"
    target.mkdir()
    (target / "old").write_text("")
    with contextlib.suppress(ZeroDivisionError), staged_folder(target) as folder:
        (folder / "new").write_text(str(1 / 0))
    assert _names(tmp_path) == ["frozen", "frozen/old"]


def test_an_error_removes_the_parents_that_were_created(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stop"), staged_folder(tmp_path / "a" / "b" / "frozen"):
        raise ValueError("stop")
    assert _names(tmp_path) == []


def test_folders_of_killed_processes_are_removed(tmp_path: Path) -> None:
    kept = [".frozen.1.tmp", ".frozen.notes.tmp"]  # process 1 is alive; the other name is not ours
    for name in (".frozen.999999999.tmp", ".frozen.999999999.old", *kept):
        (tmp_path / name).mkdir()
    with staged_folder(tmp_path / "frozen"):
        pass
    assert _names(tmp_path) == [*kept, "frozen"]


def test_a_file_in_the_way_of_the_parent_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentProblem, match="not a directory"), staged_folder(tmp_path / "file" / "a" / "b"):
        pass


def test_a_full_disk_in_tensorflow_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="no space left") as raised, staged_folder(tmp_path / "frozen"):
        raise tf.errors.ResourceExhaustedError(None, None, "part; No space left on device\nmore")
    assert "\n" not in str(raised.value)
    assert _names(tmp_path) == []


def test_a_failed_rename_restores_the_older_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "frozen"
    target.mkdir()
    (target / "old").write_text("")
    rename = Path.rename

    def fail(self: Path, other: Path) -> Path:
        if self.suffix == ".tmp":
            raise OSError(5, "Input/output error")
        return rename(self, other)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(EnvironmentProblem, match="input/output error"), staged_folder(target):
        pass
    assert _names(tmp_path) == ["frozen", "frozen/old"]


@pytest.mark.parametrize("kind", ["missing", "empty", "export"])
def test_what_an_export_may_replace(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "frozen"
    if kind != "missing":
        target.mkdir()
    if kind == "export":
        (target / "manifest.json").write_text("{}")
        (target / "model.pb").write_text("")
    check_replaceable(target)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_an_export_may_not_replace(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "frozen"
    if kind == "folder":
        target.mkdir()
    Path(os.path.join(target, "mine") if kind == "folder" else target).write_text("")
    with pytest.raises(DataError, match=f"{target}.*manifest.json.*--out"):
        check_replaceable(target)
