"""Complete archives are unpacked once; unsafe and damaged ones leave nothing behind."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from mnasnet_cli.errors import DataError
from mnasnet_cli.weights import archives
from mnasnet_cli.weights.archives import is_archive, unpack


def write_archive(path: Path, *members: tarfile.TarInfo | tuple[str, bytes]) -> Path:
    """Packs files, given as (name, content), and members of other types."""
    with tarfile.open(path, "w:" if path.suffix == ".tar" else "w:gz") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                tar.addfile(info, io.BytesIO(member[1]))
    return path


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """A link or device."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.tgz", True), ("a.tar.gz", True), ("A.TAR", True), ("a.zip", False), ("tgz", False), ("a.pth", False)],
)
def test_archives_are_recognized_by_name(name: str, expected: bool) -> None:
    assert is_archive(Path("folder") / name) == expected


@pytest.mark.parametrize("suffix", [".tgz", ".tar.gz", ".tar"])
def test_an_archive_is_unpacked_once(tmp_path: Path, suffix: str) -> None:
    path = write_archive(tmp_path / f"net-1.0{suffix}", ("net/model.ckpt.index", b"index"), ("net/checkpoint", b"text"))
    folder = unpack(path)
    assert folder == tmp_path / "net-1.0.unpacked"
    assert (folder / "net/model.ckpt.index").read_bytes() == b"index"
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name, "net-1.0.unpacked"]
    path.write_bytes(b"")
    assert unpack(path) == folder


@pytest.mark.parametrize(
    "member",
    [
        special("link", tarfile.SYMTYPE, "../outside"),
        special("link", tarfile.SYMTYPE, "model"),
        special("link", tarfile.LNKTYPE, "model"),
        special("device", tarfile.CHRTYPE),
        special("pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda member: f"{member.name}-{member.linkname}",
)
def test_links_and_devices_are_refused(tmp_path: Path, member: tarfile.TarInfo) -> None:
    path = write_archive(tmp_path / "net.tar.gz", ("model", b"x"), member)
    with pytest.raises(DataError, match=member.name):
        unpack(path)
    assert [p.name for p in tmp_path.iterdir()] == ["net.tar.gz"]


@pytest.mark.parametrize("name", ["../outside", "net/../../outside"])
def test_paths_outside_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "below").mkdir()
    path = write_archive(tmp_path / "below" / "net.tgz", ("model", b"x"), (name, b"x"))
    with pytest.raises(DataError, match="outside"):
        unpack(path)
    assert [p.name for p in tmp_path.rglob("*")] == ["below", "net.tgz"]


def test_absolute_paths_become_relative(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "net.tgz", (f"{tmp_path}/outside", b"x"))
    folder = unpack(path)
    assert not (tmp_path / "outside").exists()
    assert (folder / str(tmp_path / "outside").lstrip("/")).read_bytes() == b"x"


def test_archives_that_unpack_to_too_much_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_BYTES", 1000)
    path = write_archive(tmp_path / "net.tgz", ("one", b"x" * 600), ("two", b"x" * 600))
    with pytest.raises(DataError, match="GB"):
        unpack(path)
    assert [p.name for p in tmp_path.iterdir()] == ["net.tgz"]


def test_damaged_archives_are_refused(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "net.tgz", ("model", bytes(range(256)) * 1000))
    whole = path.read_bytes()
    for content in (whole[:-40], whole[: len(whole) // 2], b"<html>", b""):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"net\.tgz"):
            unpack(path)
        assert [p.name for p in tmp_path.iterdir()] == ["net.tgz"]
