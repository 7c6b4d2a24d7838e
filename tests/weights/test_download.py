"""Downloads from a server on loopback with all faults that servers have."""

# ruff: noqa: F811 - the fixture `server` is imported

from __future__ import annotations

import fcntl
import gzip
import io
import os
import re
import shutil
import socket
import zipfile
from pathlib import Path

import pytest
from web_server import CONTENT, OTHER, SHA256, Server, server  # noqa: F401 - a fixture

from mnasnet_cli.errors import ConfigError, DataError, EnvironmentProblem
from mnasnet_cli.weights import download as download_module
from mnasnet_cli.weights import http
from mnasnet_cli.weights.download import cache_folder, download


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("sha256", [None, SHA256, SHA256[:8], SHA256.upper()])
def test_a_complete_download(
    server: Server, tmp_path: Path, sha256: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = download(server.url, tmp_path / "new" / "folder", sha256=sha256)
    assert path == tmp_path / "new" / "folder" / "net-1.pth"
    assert path.read_bytes() == CONTENT
    assert files(path.parent) == ["net-1.pth"]
    assert "net-1.pth: 1,024,000 bytes" in capsys.readouterr().err
    assert download(server.url, path.parent, sha256=sha256) == path
    assert len(server.seen) == 1  # the second call reuses the file


@pytest.mark.parametrize("chunked", [False, True])
def test_continues_after_a_cut_connection(server: Server, tmp_path: Path, chunked: bool) -> None:
    server.cuts, server.chunked = [300_000, 100_000, 200_000], chunked
    assert download(server.url, tmp_path, sha256=SHA256).read_bytes() == CONTENT
    assert [seen.get("Range") for seen in server.seen] == [None, "bytes=300000-", "bytes=400000-", "bytes=600000-"]
    assert {seen["If-Range"] for seen in server.seen[1:]} == {'"one"'}


def test_a_server_without_ranges_sends_the_whole_file_again(server: Server, tmp_path: Path) -> None:
    server.cuts, server.ranges = [300_000, 500_000], False
    assert download(server.url, tmp_path).read_bytes() == CONTENT
    assert len(server.seen) == 3


def test_without_a_validator_the_download_starts_over(server: Server, tmp_path: Path) -> None:
    server.cuts, server.etag = [300_000], None
    assert download(server.url, tmp_path).read_bytes() == CONTENT
    assert [seen.get("Range") for seen in server.seen] == [None, None]


@pytest.mark.parametrize("etag", ['W/"weak"', None])
def test_a_date_is_a_validator(server: Server, tmp_path: Path, etag: str | None) -> None:
    date = "Tue, 24 Nov 2026 10:00:00 GMT"
    server.cuts, server.etag, server.headers = [300_000], etag, {"Last-Modified": date}
    assert download(server.url, tmp_path).read_bytes() == CONTENT
    assert server.seen[1]["If-Range"] == date


def test_a_later_call_continues_a_partial_download(server: Server, tmp_path: Path) -> None:
    server.cuts = [300_000, 0, 0, 0]
    with pytest.raises(EnvironmentProblem) as caught:
        download(server.url, tmp_path)
    for fact in (server.url, "300,000 of 1,024,000 bytes", "the first 300,000 bytes are kept"):
        assert fact in str(caught.value)
    assert files(tmp_path) == ["net-1.pth.part", "net-1.pth.part.mark"]
    server.cuts, server.seen = [], []
    assert download(server.url, tmp_path).read_bytes() == CONTENT
    assert [seen["Range"] for seen in server.seen] == ["bytes=300000-"]
    assert files(tmp_path) == ["net-1.pth"]


def test_a_new_version_on_the_server_starts_over(server: Server, tmp_path: Path) -> None:
    server.cuts = [300_000, 0, 0, 0]
    with pytest.raises(EnvironmentProblem):
        download(server.url, tmp_path)
    server.cuts, server.content, server.etag = [], OTHER, '"two"'
    assert download(server.url, tmp_path).read_bytes() == OTHER


def test_a_complete_partial_file_is_verified_and_renamed(server: Server, tmp_path: Path) -> None:
    (tmp_path / "net-1.pth.part").write_bytes(CONTENT)
    (tmp_path / "net-1.pth.part.mark").write_text('"one"')
    assert download(server.url, tmp_path).read_bytes() == CONTENT
    (tmp_path / "net-1.pth").rename(tmp_path / "net-1.pth.part")
    (tmp_path / "net-1.pth.part.mark").write_text('"one"')
    server.content = OTHER  # shorter than the partial file, with the same ETag
    assert download(server.url, tmp_path).read_bytes() == OTHER


@pytest.mark.parametrize("sha256", ["0" * 64, "00000000"])
def test_a_wrong_checksum_leaves_nothing(server: Server, tmp_path: Path, sha256: str) -> None:
    with pytest.raises(DataError, match=rf"{SHA256[:12]}\w*…, expected 00000000"):
        download(server.url, tmp_path, sha256=sha256)
    assert files(tmp_path) == []


def test_an_existing_file_with_another_checksum_is_kept(server: Server, tmp_path: Path) -> None:
    (tmp_path / "net-1.pth").write_bytes(b"precious")
    with pytest.raises(DataError, match=rf"net-1\.pth has SHA-256 \w+…, expected {SHA256[:12]}"):
        download(server.url, tmp_path, sha256=SHA256)
    assert (tmp_path / "net-1.pth").read_bytes() == b"precious"
    assert files(tmp_path) == ["net-1.pth"]


def test_redirects_to_other_schemes_are_not_followed(server: Server, tmp_path: Path) -> None:
    server.status, server.location = [302], server.url.replace("net-1", "stored/ab12")
    assert download(server.url, tmp_path).name == "net-1.pth"
    for place in ("ftp://127.0.0.1/net.pth", "FILE:///net.pth"):
        server.status, server.location = [302], place
        with pytest.raises(EnvironmentProblem, match=r"not followed|not allowed"):
            download(server.url, tmp_path / "other")
    assert files(tmp_path / "other") == []


@pytest.mark.parametrize(("status", "attempts"), [(404, 1), (403, 1), (503, 3)])
def test_error_responses(server: Server, tmp_path: Path, status: int, attempts: int) -> None:
    server.status = [status] * attempts
    with pytest.raises(EnvironmentProblem, match=str(status)):
        download(f"{server.url}?key=secret", tmp_path)
    assert len(server.seen) == attempts
    assert files(tmp_path) == []


def test_busy_servers_are_retried(server: Server, tmp_path: Path) -> None:
    server.status = [503, 429]
    assert download(server.url, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("headers", [{"Content-Type": "text/html; charset=utf-8"}, {"Content-Encoding": "gzip"}])
def test_web_pages_and_compressed_responses_leave_nothing(
    server: Server, tmp_path: Path, headers: dict[str, str]
) -> None:
    server.headers = headers
    with pytest.raises(DataError, match=re.escape(server.url)):
        download(server.url, tmp_path)
    assert files(tmp_path) == []


def test_a_refused_connection(server: Server, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(EnvironmentProblem, match=rf"127\.0\.0\.1:{port}/net\.pth .*\(.*refused"):
        download(f"http://127.0.0.1:{port}/net.pth", tmp_path)
    assert files(tmp_path) == []


def test_a_server_that_never_answers(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "TIMEOUT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(EnvironmentProblem, match="timed out"):
        download(f"http://127.0.0.1:{silent.getsockname()[1]}/net.pth", tmp_path)


def test_a_full_disk(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(EnvironmentProblem, match=r" 0 MB .* 1 MB"):
        download(server.url, tmp_path)
    assert files(tmp_path) == []


@pytest.mark.parametrize("chunked", [False, True])
def test_more_than_weights_have_is_refused(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunked: bool
) -> None:
    monkeypatch.setattr(download_module, "MAX_BYTES", 500_000)
    server.chunked = chunked  # without a size beforehand, as a server that sends without an end
    with pytest.raises(DataError, match="sends more than"):
        download(server.url, tmp_path)
    assert len(server.seen) == 1
    assert files(tmp_path) == []


def test_what_could_not_be_continued_is_not_kept(server: Server, tmp_path: Path) -> None:
    server.cuts, server.etag = [300_000] * 9, None
    with pytest.raises(EnvironmentProblem, match=r"bytes$"):
        download(server.url, tmp_path)
    assert files(tmp_path) == []


def test_two_processes_at_once(server: Server, tmp_path: Path) -> None:
    with open(tmp_path / "net-1.pth.part", "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(EnvironmentProblem, match=r"another process .*net-1\.pth"):
            download(server.url, tmp_path)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://host/net.pth", "http:// or https://"),
        ("FILE:///net.pth", "http:// or https://"),
        ("https:///net.pth", "http:// or https://"),
        ("gs://bucket/a/net.tgz", "https://storage.googleapis.com/bucket/a/net.tgz"),
        ("https://host/", "file name"),
        ("https://host/a/%2e%2e", "file name"),
        ("https://host/a%2Fb", "file name"),
        ("http://127.0.0.1/a b", "127.0.0.1"),
    ],
)
def test_bad_urls(tmp_path: Path, url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        download(url, tmp_path)
    assert files(tmp_path) == []


@pytest.mark.parametrize("sha256", ["", "1234567", "no hex!!", "0" * 65])
def test_bad_checksums(tmp_path: Path, sha256: str) -> None:
    with pytest.raises(ConfigError, match=f"{sha256!r}.*SHA-256"):
        download("https://host/net.pth", tmp_path, sha256=sha256)


def test_the_cache_folder_follows_the_url(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MNASNET_CACHE", str(tmp_path))
    folder = cache_folder("https://hub.example/timm/mnasnet_100.rmsp_in1k/resolve/main/model.safetensors")
    assert folder == tmp_path / "hub.example/timm/mnasnet_100.rmsp_in1k/resolve/main"
    assert cache_folder("https://hub.example/%2e%2e/../a%2Fb/x.pth?key=1") == tmp_path / "hub.example/a_b"
    monkeypatch.delenv("MNASNET_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", os.fspath(tmp_path / "xdg"))
    assert cache_folder("https://hub.example/x.pth") == tmp_path / "xdg/mnasnet/hub.example"


def test_an_empty_download_is_not_kept_or_believed(server: Server, tmp_path: Path) -> None:
    (tmp_path / "net-1.pth").write_bytes(b"")  # of an earlier version
    server.content = b""
    with pytest.raises(DataError, match=r"sent 0 bytes.*run the command again"):
        download(server.url, tmp_path)
    server.content = CONTENT
    assert download(server.url, tmp_path).read_bytes() == CONTENT
    assert files(tmp_path) == ["net-1.pth"]


@pytest.mark.parametrize("name", ["net.pth", "net.safetensors", "net.tgz"])
def test_a_download_without_its_end_is_not_kept(server: Server, tmp_path: Path, name: str) -> None:
    whole = io.BytesIO()
    if name.endswith("pth"):
        with zipfile.ZipFile(whole, "w") as archive:
            archive.writestr("data", CONTENT)
    elif name.endswith("tgz"):
        whole.write(gzip.compress(CONTENT))
    else:
        header = b'{"w": {"dtype": "U8", "shape": [9], "data_offsets": [0, 9]}}'
        whole.write(len(header).to_bytes(8, "little") + header + b"123456789")
    url = server.url.replace("net-1.pth", name)
    server.content = whole.getvalue()[:-5]  # all that a server without a stated size may send
    with pytest.raises(DataError, match="not a complete file"):
        download(url, tmp_path)
    assert files(tmp_path) == []
    server.content = whole.getvalue()
    assert download(url, tmp_path).read_bytes() == whole.getvalue()
