"""Paths, URLs and published names become local paths."""

# ruff: noqa: F811 - the fixture `server` is imported

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from test_archives import write_archive
from web_server import CONTENT, SHA256, Server, server  # noqa: F401 - a fixture

from mnasnet_cli.errors import ConfigError, DataError
from mnasnet_cli.weights import registry, sources
from mnasnet_cli.weights.registry import PublishedWeights, WebFile, find_weights
from mnasnet_cli.weights.sources import LocalWeights, fetch, is_published


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MNASNET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def published(server: Server, monkeypatch: pytest.MonkeyPatch) -> PublishedWeights:
    """A registry entry whose file is on the loopback server."""
    file = WebFile(server.url, SHA256[:8])
    weights = dataclasses.replace(find_weights("torchvision/mnasnet0_5"), name="torchvision/ours", file=file)
    for module in (registry, sources):
        monkeypatch.setattr(module, "WEIGHTS", (*registry.WEIGHTS, weights))
    return weights


def test_paths_stay(tmp_path: Path) -> None:
    for name in ("net.pth", "runs/checkpoints/ckpt-3", "no-such-folder"):
        assert fetch(name) == LocalWeights(name)
    path = write_archive(tmp_path / "net.tgz", ("net/model.ckpt.index", b""))
    assert fetch(str(path)) == LocalWeights(str(tmp_path / "net.unpacked"))


def test_urls_and_names_are_downloaded_to_the_cache(server: Server, published: PublishedWeights, cache: Path) -> None:
    for source in ("torchvision/ours", server.url):
        found = fetch(source)
        assert (found.published, found.url) == (published, server.url)
        assert Path(found.path).read_bytes() == CONTENT
        assert Path(found.path).is_relative_to(cache)
    assert len(server.seen) == 1
    assert fetch(f"{server.url}?download=1").published is None
    assert [is_published(text) for text in ("torchvision/ours", server.url, f"{server.url}?download=1", "net.pth")] == [
        True, True, False, False
    ]  # fmt: skip


def test_the_published_checksum_is_verified(server: Server, published: PublishedWeights, cache: Path) -> None:
    server.content = b"something else"
    with pytest.raises(DataError, match=f"expected {SHA256[:8]}"):
        fetch("torchvision/ours")
    assert not [path for path in cache.rglob("*") if path.is_file()]
    with pytest.raises(DataError, match="expected 00000000"):
        fetch(f"{server.url}?download=1", sha256="00000000")


def test_archives_are_unpacked(server: Server, tmp_path: Path, cache: Path) -> None:
    server.content = write_archive(tmp_path / "net.tgz", ("net/model.ckpt.index", b"index")).read_bytes()
    found = fetch(server.url.replace("net-1.pth", "net.tgz"))
    assert (Path(found.path) / "net/model.ckpt.index").read_bytes() == b"index"


def test_unknown_names_and_names_without_a_download_link() -> None:
    for resolve in (fetch, is_published):
        with pytest.raises(ConfigError, match=r"'timm/mnasnet_100'.*did you mean 'timm/mnasnet_100"):
            resolve("timm/mnasnet_100")
        with pytest.raises(ConfigError, match=r"https://drive\.google\.com"):
            resolve("port-2019/mnasnet-b1")
