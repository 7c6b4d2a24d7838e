"""Archives that are what they should be, and those that are not."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from mnasnet_cli.errors import DataError
from mnasnet_cli.weights import archives as module
from mnasnet_cli.weights.archives import is_archive, unpack


def write(path: Path, *members: tuple[str, bytes | str]) -> Path:
    """Packs files (bytes) and links (text)."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return path


def test_unpacks_once(tmp_path: Path) -> None:
    path = write(tmp_path / "net-1.0.tgz", ("net/model.ckpt.index", b"index"), ("net/checkpoint", b"text"))
    assert is_archive(path)
    folder = unpack(path)
    assert folder == tmp_path / "net-1.0.unpacked"
    assert (folder / "net/model.ckpt.index").read_bytes() == b"index"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net-1.0.tgz", "net-1.0.unpacked"]
    path.write_bytes(b"")
    assert unpack(path) == folder


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("../outside", b"", "is not a whole tar archive"),
        ("/etc/outside", b"", None),
        ("link", "../outside", "neither a file nor a folder"),
        ("big", b"x" * 2000, "unpacks to more than"),
    ],
)
def test_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes | str, message: str | None
) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    path = write(tmp_path / "sub.tar.gz", (name, content))
    if message is None:  # made relative: harmless
        assert (unpack(path) / "etc/outside").exists()
        return
    with pytest.raises(DataError, match=message):
        unpack(path)
    assert [p.name for p in tmp_path.iterdir()] == ["sub.tar.gz"]


def test_cut_short_and_not_an_archive(tmp_path: Path) -> None:
    path = write(tmp_path / "net.tgz", ("model", bytes(range(256)) * 1000))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match="not a whole tar archive"):
        unpack(path)
    path.write_bytes(b"<html>")
    with pytest.raises(DataError, match="not a whole tar archive"):
        unpack(path)
    assert [p.name for p in tmp_path.iterdir()] == ["net.tgz"]
