"""`mnasnet import` of what is elsewhere: whatever goes wrong is one line, exit code 2, and leaves nothing."""

# ruff: noqa: F811 - the fixture `server` is imported

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from web_server import SHA256, Server, server  # noqa: F401 - a fixture


@pytest.fixture
def run(mnasnet: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., str]:
    monkeypatch.setenv("MNASNET_CACHE", str(tmp_path / "cache"))

    def run(*arguments: str) -> str:
        outcome = mnasnet("import", arguments[0], tmp_path / "out", *arguments[1:])
        assert outcome.code == 2, outcome.err
        assert outcome.out == ""
        assert not (tmp_path / "out").exists()
        error = str(outcome.err.splitlines()[-1])
        assert error.startswith("error: ")
        return error

    return run


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_cut_off(server: Server, run: Callable[..., str], tmp_path: Path) -> None:
    server.cuts = [300_000, 0, 0]
    assert "the first 300,000 bytes are kept, start again to go on" in run(server.url, "--variant=b1")
    assert names(tmp_path) == ["net-1.pth.part", "net-1.pth.part.mark"]


def test_wrong_checksum(server: Server, run: Callable[..., str], tmp_path: Path) -> None:
    error = run(server.url, "--variant=b1", "--sha256=0123456789")
    assert f"it has SHA-256 {SHA256[:12]}…, expected 0123456789…; nothing is kept" in error
    assert names(tmp_path) == []


def test_a_whole_file_that_is_no_checkpoint(server: Server, run: Callable[..., str]) -> None:
    assert "net-1.pth is not a checkpoint" in run(server.url, "--variant=b1", f"--sha256={SHA256}")


def test_what_cannot_be_downloaded(server: Server, run: Callable[..., str]) -> None:
    assert "say which net the weights are of" in run(server.url)
    assert "did you mean 'torchvision/mnasnet1_3'?" in run("torchvision/mnasnet13")
    assert "expected http:// or https://" in run("ftp://host/net.pth", "--variant=b1")
    assert "is no SHA-256" in run(server.url, "--variant=b1", "--sha256=xyz")
    server.status = [404]
    assert "can't be had: 404" in run(server.url, "--variant=b1")
