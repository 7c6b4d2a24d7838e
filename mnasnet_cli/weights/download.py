"""Downloads that resume after an interruption, verify a checksum, and appear under their name only when complete."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.client
import os
import re
import shutil
import time
import urllib.parse
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from mnasnet_cli.console import progress, say
from mnasnet_cli.errors import ConfigError, DataError, EnvironmentProblem
from mnasnet_cli.system.files import make_folder, move_into_place, try_lock, user_cache, write_atomically
from mnasnet_cli.weights import http as web

CHUNK_BYTES = 1 << 18
RETRY_SECONDS = (1.0, 4.0, 10.0)  # waits after attempts that received nothing new
MAX_BYTES = 1_000_000_000  # weights of these nets have a tenth of it; a server may send without an end


def cache_folder(url: str) -> Path:
    """The cache folder of a URL: $MNASNET_CACHE (default ~/.cache/mnasnet), then host and path.

    The path keeps files with the same name apart: on a model hub they are all called model.safetensors.
    """
    parts = web.split_url(url)
    names = [urllib.parse.unquote(part) for part in (parts.netloc, *parts.path.split("/")[:-1])]
    safe = [re.sub(r"[^\w.@+-]", "_", name) for name in names if name.strip(".")]
    return user_cache().joinpath(*safe)


def download(url: str, target_folder: Path, *, sha256: str | None = None) -> Path:
    """Downloads a file over http or https, and returns its path in `target_folder`.

    An existing file of the same name is reused if its checksum matches. An interrupted download stays in NAME.part, and
    the next attempt, in this call or a later one, continues it.

    Args:
      url: its last component is the file name.
      target_folder: is created if it does not exist.
      sha256: the checksum in hex, or at least its first 8 digits.

    Raises:
      ConfigError: the URL or the checksum is malformed.
      EnvironmentProblem: the server can't be reached, does not have the file, or fails repeatedly.
      DataError: the downloaded or existing file is not the expected one. A faulty download is removed.
    """
    web.check_url(url)
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{8,64}", sha256):
        raise ConfigError(f"the checksum {sha256!r} is not a SHA-256; expected 64 hex digits, or at least the first 8")
    target = target_folder / _file_name(url)
    if target.exists() and not _is_cut_short(target):  # earlier versions may have kept such a file
        _verify(target, sha256, f"the existing file {target} has", "move it away to download the file again")
        say(f"{target} exists already")
        return target
    make_folder(target_folder)
    with _open_partial_file(target.with_name(f"{target.name}.part")) as part:
        _fetch_with_retries(url, part)
        with part.removed_on_data_error():
            if _is_cut_short(part.path, target.suffix):
                raise DataError(
                    f"{web.without_query(url)} sent {part.size:,} bytes, which is not a complete file; the download is "
                    "removed, run the command again"
                )
            _verify(part.path, sha256, f"{web.without_query(url)} has", "the download is removed")
        part.finish(target)
    return target


def _file_name(url: str) -> str:
    name = urllib.parse.unquote(urllib.parse.urlsplit(url).path.rpartition("/")[2])
    if not name.strip(".") or "/" in name or "\0" in name:
        raise ConfigError(f"{web.without_query(url)} does not end with a file name")
    return name


def _is_cut_short(path: Path, suffix: str | None = None) -> bool:
    """Return whether a file of weights or an archive has no end. A server that states no size may cut it off anywhere.

    suffix: of the file name, if that of the path is another one.
    """
    size, suffix = path.stat().st_size, path.suffix if suffix is None else suffix
    if size == 0:
        return True
    with path.open("rb") as file:
        start = file.read(8)
        if suffix == ".safetensors":
            header = file.read(min(int.from_bytes(start, "little"), size))
            ends = [
                int(end) for end in re.findall(rb'"data_offsets"\s*:\s*\[\s*\d{1,18}\s*,\s*(\d{1,18})\s*\]', header)
            ]
            return size < 8 + int.from_bytes(start, "little") + max(ends, default=0)
    if start.startswith(b"PK\x03\x04"):  # PyTorch's files; their table of contents comes last
        return not zipfile.is_zipfile(path)
    if start.startswith(b"\x1f\x8b"):
        try:
            with gzip.open(path) as unpacked:
                while unpacked.read(CHUNK_BYTES):
                    pass
        except EOFError:
            return True
        except (OSError, zlib.error):  # damaged in another way; who reads it says so
            return False
    return False


def _verify(path: Path, expected: str | None, subject: str, advice: str) -> None:
    """Raises DataError if a file's SHA-256 does not start with the expected digits."""
    if expected is None:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(expected.lower()):
        digits = max(12, len(expected))
        raise DataError(f"{subject} SHA-256 {found[:digits]}…, expected {expected.lower()}…; {advice}")


@dataclass
class _PartialFile:
    """The bytes received so far, and the server's validator (ETag or date) of the version they belong to."""

    path: Path
    file: IO[bytes]

    @property
    def _validator_path(self) -> Path:
        return self.path.with_name(f"{self.path.name}.mark")

    @property
    def size(self) -> int:
        return os.fstat(self.file.fileno()).st_size

    @property
    def validator(self) -> str | None:
        """None if the version is unknown, so that the download can't be continued."""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            return self._validator_path.read_text(encoding="ascii") or None
        return None

    def start_over(self, validator: str | None) -> None:
        self.file.truncate(0)
        write_atomically(self._validator_path, (validator or "").encode("ascii", "ignore"))

    def append(self, data: bytes) -> None:
        self.file.write(data)
        self.file.flush()

    def finish(self, target: Path) -> None:
        move_into_place(self.path, target)
        self._validator_path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def removed_on_data_error(self) -> Iterator[None]:
        try:
            yield
        except DataError:
            self.remove()
            raise

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self._validator_path.unlink(missing_ok=True)


@contextlib.contextmanager
def _open_partial_file(path: Path) -> Iterator[_PartialFile]:
    """Opens and locks a .part file. An empty file is removed at the end."""
    with open(path, "ab") as file:
        if not try_lock(file):
            raise EnvironmentProblem(f"another process is downloading {path}; wait until it has finished")
        if not path.exists():  # the other process renamed the file after we opened it
            raise EnvironmentProblem(f"another process has just downloaded {path.stem}; run the command again")
        part = _PartialFile(path, file)
        try:
            yield part
        finally:
            if part.size == 0:
                part.remove()


def _fetch_with_retries(url: str, part: _PartialFile) -> None:
    """Completes the file; gives up after several attempts that received nothing new."""
    most, failures = part.size, 0
    while True:
        try:
            return _fetch(url, part)
        except web.ConnectionLost as lost:
            failures = 1 if part.size > most else failures + 1
            most = max(most, part.size)
            if failures > len(RETRY_SECONDS):
                if not part.validator:  # the next call could not continue it
                    part.file.truncate(0)
                advice = f"; the first {part.size:,} bytes are kept, run the command again to continue"
                raise EnvironmentProblem(
                    f"{web.without_query(url)} can't be downloaded: {lost}{advice if part.size else ''}"
                ) from lost
            say(f"{lost}; retrying in {RETRY_SECONDS[failures - 1]:g} s")
            time.sleep(RETRY_SECONDS[failures - 1])


def _fetch(url: str, part: _PartialFile) -> None:
    """Requests the missing bytes and appends them."""
    offset = part.size if part.validator else 0
    headers = {"Range": f"bytes={offset}-", "If-Range": str(part.validator)} if offset else {}
    with web.open_url(url, headers) as response:
        if response.status == web.RANGE_NOT_SATISFIABLE:
            if response.headers.get("Content-Range") == f"bytes */{offset}":
                return  # the file was complete, but the process ended before the checksum was verified
            part.start_over(None)
            raise web.ConnectionLost("the file changed on the server")
        total = web.total_size(response)
        if response.status == web.PARTIAL_CONTENT:
            if web.range_start(response) != offset:
                part.start_over(None)
                raise web.ConnectionLost("the server sent another part of the file than requested")
        else:  # the server does not support ranges, or the file changed
            part.start_over(web.validator(response))
        with part.removed_on_data_error():
            _check_size(url, total or 0)
            _check_disk_space(part, total)
            _append(url, response, part, total)


def _check_size(url: str, size: int) -> None:
    if size > MAX_BYTES:
        raise DataError(
            f"{web.without_query(url)} sends more than {MAX_BYTES / 1e6:,.0f} MB, and weights of these nets are far "
            "smaller; use the URL of a file of weights"
        )


def _check_disk_space(part: _PartialFile, total: int | None) -> None:
    free = shutil.disk_usage(part.path.parent).free
    if total is not None and total - part.size > free:
        raise EnvironmentProblem(
            f"{part.path.parent} has {free / 1e6:,.0f} MB of free space, but the file has {total / 1e6:,.0f} MB; free "
            "some space"
        )


def _append(url: str, response: Any, part: _PartialFile, total: int | None) -> None:
    with progress(f"download {part.path.stem}", total, "bytes", start=part.size) as bar:
        try:
            while chunk := response.read1(CHUNK_BYTES):  # not read(), which loses a part chunk when a slow line breaks
                part.append(chunk)
                bar.update(part.size)
                _check_size(url, part.size)
        except http.client.IncompleteRead as error:  # the server did not state the size beforehand
            part.append(error.partial)
            raise
    if total is not None and part.size != total:
        raise web.ConnectionLost(f"the connection was cut at {part.size:,} of {total:,} bytes")
