"""A file on a web server: opened over http or https only, and what the server says of it."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

from mnasnet_cli import __version__
from mnasnet_cli.errors import ConfigError, DataError, EnvironmentProblem

TIMEOUT_SECONDS = 30.0  # without a single byte
NOTHING_BEYOND = 416  # the answer where no byte lies beyond those that are there
_BUSY = (408, 425, 429, 500, 502, 503, 504)  # answers that may be others a little later


class Cut(Exception):
    """The connection ended early, or never came about; another attempt may go on from what is there."""


def is_url(text: str) -> bool:
    """Whether a text is the address of something elsewhere rather than a path."""
    return re.match(r"[a-z][a-z0-9+.-]*://", text, re.IGNORECASE) is not None


def check_address(url: str) -> None:
    """Raises ConfigError where nothing can be downloaded from an address."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "gs":
        raise ConfigError(
            f"{url} is an address for gsutil; the same file is at "
            f"https://storage.googleapis.com/{parts.netloc}{parts.path}"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{shown(url)} is not an address that can be downloaded; expected http:// or https://")


def shown(url: str) -> str:
    """The address without its query, which may hold somebody's key."""
    return url.partition("?")[0]


@contextlib.contextmanager
def open_url(url: str, headers: Mapping[str, str]) -> Iterator[Any]:
    """Asks for a file; redirections are followed.

    Yields:
      an `http.client.HTTPResponse`, or an answer with the status NOTHING_BEYOND.

    Raises:
      Cut: the connection failed, also while the answer was read; or the server is busy.
      EnvironmentProblem: the server can't be found or trusted, or does not give the file.
    """
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(), urllib.request.HTTPHandler(), urllib.request.HTTPSHandler(), _Redirects(),
        urllib.request.HTTPErrorProcessor(), urllib.request.HTTPDefaultErrorHandler(),
    ):  # fmt: skip
        opener.add_handler(handler)  # and none for files or ftp, to which a redirection could lead
    request = urllib.request.Request(url, headers={"User-Agent": f"mnasnet/{__version__}", **headers})
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
            yield answer
    except urllib.error.HTTPError as error:
        if error.code == NOTHING_BEYOND:
            yield error
        elif error.code in _BUSY:
            raise Cut(f"the server answered {error.code} {error.reason}") from error
        else:
            raise EnvironmentProblem(f"{shown(url)} can't be had: {error.code} {error.reason}") from error
    except http.client.InvalidURL as error:
        raise ConfigError(f"{shown(url)} is not an address: {error}") from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or error
        host = urllib.parse.urlsplit(url).hostname
        if isinstance(reason, socket.gaierror):
            raise EnvironmentProblem(f"no server called {host} can be found; is this machine online?") from error
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise EnvironmentProblem(f"{host} can't prove who it is ({reason.verify_message})") from error
        raise Cut(f"the connection failed ({reason or type(error).__name__})") from error


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        scheme = urllib.parse.urlsplit(newurl).scheme
        if scheme not in ("http", "https") or (req.type == "https" and scheme != "https"):
            raise EnvironmentProblem(
                f"{shown(req.full_url)} leads to {shown(newurl)}, which is less safe; not followed"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def first_byte(answer: Any) -> int:
    """Where the answer begins within the file."""
    found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return int(found[1]) if answer.status == 206 and found else 0


def whole_size(answer: Any) -> int | None:
    """Size of the whole file by the server's words, None where it says nothing.

    Raises:
      DataError: the answer is not the bytes of a file.
    """
    if answer.headers.get_content_type() in ("text/html", "application/xhtml+xml"):
        raise DataError(f"{shown(answer.url)} is a web page, not a file; take the address of its download link")
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise DataError(f"{shown(answer.url)} is sent compressed, so that its size can't be checked")
    length = answer.headers.get("Content-Length") or ""
    return int(length) + first_byte(answer) if length.isdigit() else None


def version_mark(answer: Any) -> str | None:
    """What an If-Range may name: a strong ETag, else the file's date; None where the server gives neither."""
    tag = answer.headers.get("ETag") or ""
    return tag if tag.startswith('"') else answer.headers.get("Last-Modified")
