"""Downloads: resumed where they were cut off, checked, and under their own name only when whole."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import re
import shutil
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from mnasnet_cli.console import progress, say
from mnasnet_cli.errors import ConfigError, DataError, EnvironmentProblem
from mnasnet_cli.system.files import try_lock
from mnasnet_cli.weights import http as web
from mnasnet_cli.weights.http import is_url

__all__ = ["cache_folder", "download", "is_url"]

CHUNK_BYTES = 1 << 18
RETRY_SECONDS = (1.0, 4.0, 10.0)  # waits after attempts that brought nothing new


def cache_folder(url: str) -> Path:
    """The folder for downloads from this address: $MNASNET_CACHE (~/.cache/mnasnet), then host and path.

    Files of different addresses never meet: those of a model hub are all called model.safetensors.
    """
    base = os.environ.get("MNASNET_CACHE")
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mnasnet"
    parts = urllib.parse.urlsplit(url)
    names = [urllib.parse.unquote(part) for part in (parts.netloc, *parts.path.split("/")[:-1])]
    safe = [re.sub(r"[^\w.@+-]", "_", name) for name in names if name.strip(".")]
    return (Path(base) if base else default).joinpath(*safe)


def download(url: str, target_folder: Path, *, sha256: str | None = None) -> Path:
    """Fetches a file over http or https and returns its path in `target_folder`.

    A file of its name that is there already is taken as it is, once its checksum was looked at. What arrived before a
    connection was cut waits in NAME.part for the next attempt, of this call or of a later one.

    Args:
      url: its last part is the file's name.
      target_folder: made where it does not exist.
      sha256: the file's checksum in hex, or at least its first 8 digits.

    Raises:
      ConfigError: the address or the checksum is none.
      EnvironmentProblem: the server can't be reached, has no such file or breaks off again and again.
      DataError: what arrived, or what is there already, is not the file. In every case nothing of this download stands
        under the final name.
    """
    web.check_address(url)
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{8,64}", sha256):
        raise ConfigError(f"the checksum {sha256!r} is no SHA-256; expected 64 hex digits, or the first 8 or more")
    target = target_folder / _file_name(url)
    if target.exists():
        _check_sum(target, sha256, f"{target}, which was there before, has", "move it away to fetch the file anew")
        say(f"{target} is there already")
        return target
    target_folder.mkdir(parents=True, exist_ok=True)
    with _locked(target.with_name(f"{target.name}.part")) as part:
        _fetch_with_patience(url, part)
        with part.dropped_on_error():
            _check_sum(
                part.path, sha256, f"{web.shown(url)} is not the file that was published: it has", "nothing is kept"
            )
        part.finish(target)
    return target


def _file_name(url: str) -> str:
    name = urllib.parse.unquote(urllib.parse.urlsplit(url).path.rpartition("/")[2])
    if not name.strip(".") or "/" in name or "\0" in name:
        raise ConfigError(f"{web.shown(url)} does not end with a file's name")
    return name


def _check_sum(path: Path, expected: str | None, what: str, advice: str) -> None:
    if expected is None:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(expected.lower()):
        raise DataError(f"{what} SHA-256 {found[: max(12, len(expected))]}…, expected {expected.lower()}…; {advice}")


@dataclass
class _Part:
    """What has arrived of a file, and the server's mark (an ETag or a date) by which it is known again."""

    path: Path
    file: IO[bytes]

    @property
    def _mark_path(self) -> Path:
        return self.path.with_name(f"{self.path.name}.mark")

    @property
    def size(self) -> int:
        return os.fstat(self.file.fileno()).st_size

    @property
    def mark(self) -> str | None:
        """None where nobody could tell whether the rest belongs to it."""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            return self._mark_path.read_text(encoding="ascii") or None
        return None

    def start_over(self, mark: str | None) -> None:
        self.file.truncate(0)
        self._mark_path.write_text(mark or "", encoding="ascii", errors="ignore")

    def append(self, data: bytes) -> None:
        self.file.write(data)
        self.file.flush()

    def finish(self, target: Path) -> None:
        os.fsync(self.file.fileno())
        self.path.replace(target)
        self._mark_path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def dropped_on_error(self) -> Iterator[None]:
        try:
            yield
        except DataError:
            self.drop()
            raise

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)
        self._mark_path.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[_Part]:
    """Opens a .part file for this process alone; an empty one is not left behind."""
    with open(path, "ab") as file:
        if not try_lock(file):
            raise EnvironmentProblem(f"another process is downloading {path}; wait for it")
        if not path.exists():  # it has finished between the two lines above: this file is its result
            raise EnvironmentProblem(f"another process has just downloaded {path.stem}; start again")
        part = _Part(path, file)
        try:
            yield part
        finally:
            if part.size == 0:
                part.drop()


def _fetch_with_patience(url: str, part: _Part) -> None:
    """Fetches all that is missing, in several attempts where the connection is poor."""
    most, failures = part.size, 0
    while True:
        try:
            return _fetch(url, part)
        except web.Cut as cut:
            failures = 1 if part.size > most else failures + 1
            most = max(most, part.size)
            if failures > len(RETRY_SECONDS):
                kept = f"; the first {part.size:,} bytes are kept, start again to go on" if part.size else ""
                raise EnvironmentProblem(f"{web.shown(url)} could not be downloaded: {cut}{kept}") from cut
            say(f"{cut}; trying again in {RETRY_SECONDS[failures - 1]:g} s")
            time.sleep(RETRY_SECONDS[failures - 1])


def _fetch(url: str, part: _Part) -> None:
    """Appends what is missing of a file."""
    offset = part.size if part.mark else 0
    headers = {"Range": f"bytes={offset}-", "If-Range": str(part.mark)} if offset else {}
    with web.open_url(url, headers) as answer:
        if answer.status == web.NOTHING_BEYOND:
            if answer.headers.get("Content-Range") == f"bytes */{offset}":
                return  # it was whole, but the process ended before that could be checked
            part.start_over(None)
            raise web.Cut("the file changed on the server")
        total = web.whole_size(answer)
        if answer.status == 206 and web.first_byte(answer) != offset:
            part.start_over(None)
            raise web.Cut("the server went on elsewhere than where it was asked to")
        if answer.status != 206:  # a server that knows no ranges, or has another file there by now
            part.start_over(web.version_mark(answer))
        _check_room(part, total)
        _append(answer, part, total)


def _check_room(part: _Part, total: int | None) -> None:
    free = shutil.disk_usage(part.path.parent).free
    if total is not None and total - part.size > free:
        raise EnvironmentProblem(
            f"{part.path.parent} has room for {free / 1e6:,.0f} MB, but {total / 1e6:,.0f} MB are to come; make room"
        )


def _append(answer: Any, part: _Part, total: int | None) -> None:
    with progress(f"download {part.path.stem}", total, "bytes", start=part.size) as bar:
        try:
            while chunk := answer.read1(CHUNK_BYTES):  # what is there: a slow line loses nothing when it is cut
                part.append(chunk)
                bar.update(part.size)
        except http.client.IncompleteRead as error:  # of a server that says no size beforehand
            part.append(error.partial)
            raise
    if total is not None and part.size != total:
        raise web.Cut(f"the connection was cut at {part.size:,} of {total:,} bytes")
