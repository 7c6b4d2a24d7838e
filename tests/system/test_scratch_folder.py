"""Folders of processes that save for nothing."""

from __future__ import annotations

import tempfile

import pytest

from mnasnet_cli.system.scratch_folder import LOCK_FILE, PREFIX, Scratch


@pytest.fixture(autouse=True)
def _temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_what_a_killed_process_left_is_removed_and_what_runs_stays(tmp_path):
    running = Scratch()
    (running.path / "checkpoint").write_text("")
    killed = tmp_path / f"{PREFIX}killed"
    killed.mkdir()
    (killed / LOCK_FILE).write_text("")
    (killed / "checkpoint").write_text("")
    own = Scratch()
    assert sorted(tmp_path.iterdir()) == sorted([running.path, own.path])
    assert (running.path / "checkpoint").exists()
    running.remove()
    own.remove()
    assert not list(tmp_path.iterdir())


def test_a_link_is_left_alone(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / f"{PREFIX}link").symlink_to(elsewhere)
    Scratch().remove()
    assert elsewhere.is_dir()
    assert not list(elsewhere.iterdir())
