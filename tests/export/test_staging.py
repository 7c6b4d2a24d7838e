"""Folders that appear only when they are complete."""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path

import pytest
import tensorflow as tf

from mnasnet_cli.errors import DataError, EnvironmentProblem
from mnasnet_cli.export.staging import check_replaceable, staged_export


def _names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_folder_appears_at_the_end_of_the_block(tmp_path: Path) -> None:
    target = tmp_path / "new" / "frozen"
    with staged_export(target) as folder:
        (folder / "file").write_text("new")
        assert not target.exists()
        assert folder.parent == target.parent  # the same disk, so that it can be renamed
    assert _names(tmp_path) == ["new", "new/frozen", "new/frozen/file"]


def test_an_older_folder_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "frozen"
    target.mkdir()
    (target / "old").write_text("")
    with staged_export(target) as folder:
        (folder / "new").write_text("")
        assert _names(target) == ["old"]
    assert _names(tmp_path) == ["frozen", "frozen/new"]


def test_an_error_leaves_the_older_folder(tmp_path: Path) -> None:
    target = tmp_path / "frozen"
    target.mkdir()
    (target / "old").write_text("")
    with contextlib.suppress(ZeroDivisionError), staged_export(target) as folder:
        (folder / "new").write_text(str(1 / 0))
    assert _names(tmp_path) == ["frozen", "frozen/old"]


def test_an_error_removes_the_parents_that_were_created(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stop"), staged_export(tmp_path / "a" / "b" / "frozen"):
        raise ValueError("stop")
    assert _names(tmp_path) == []


def test_a_file_in_the_way_of_the_parent_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentProblem, match="not a directory"), staged_export(tmp_path / "file" / "a" / "b"):
        pass


def test_a_full_disk_in_tensorflow_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="no space left") as raised, staged_export(tmp_path / "frozen"):
        raise tf.errors.ResourceExhaustedError(None, None, "part; No space left on device\nmore")
    assert "\n" not in str(raised.value)
    assert _names(tmp_path) == []


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_failed_rename_restores_the_older_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_exchange: bool
) -> None:
    target = tmp_path / "frozen"
    target.mkdir()
    (target / "old").write_text("")
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())  # a system without the call

    def fail(self: Path, other: Path) -> Path:
        if other == target and not can_exchange and not tried:
            tried.append(self)
            raise OSError(5, "Input/output error")
        return rename(self, other)

    tried: list[Path] = []
    rename = Path.rename
    monkeypatch.setattr(Path, "rename", fail)
    with contextlib.ExitStack() as stack:
        if not can_exchange:
            stack.enter_context(pytest.raises(EnvironmentProblem, match="input/output error"))
        with staged_export(target) as folder:
            (folder / "new").write_text("")
    assert _names(tmp_path) == ["frozen", "frozen/new" if can_exchange else "frozen/old"]


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
