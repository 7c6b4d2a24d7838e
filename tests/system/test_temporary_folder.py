"""Temporary folders of processes, and what killed processes leave."""

from __future__ import annotations

import tempfile

import pytest

from mnasnet_cli.system.temporary_folder import LOCK_FILE, PREFIX, TemporaryFolder


@pytest.fixture(autouse=True)
def _temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_folders_of_killed_processes_are_removed(tmp_path):
    running = TemporaryFolder()
    (running.path / "checkpoint").write_text("")
    killed = tmp_path / f"{PREFIX}killed"
    killed.mkdir()
    (killed / LOCK_FILE).write_text("")
    (killed / "checkpoint").write_text("")
    own = TemporaryFolder()
    assert sorted(tmp_path.iterdir()) == sorted([running.path, own.path])
    assert (running.path / "checkpoint").exists()
    running.remove()
    own.remove()
    assert not list(tmp_path.iterdir())


def test_a_link_is_not_followed(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / f"{PREFIX}link").symlink_to(elsewhere)
    TemporaryFolder().remove()
    assert elsewhere.is_dir()
    assert not list(elsewhere.iterdir())
