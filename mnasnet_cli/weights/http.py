"""Requests to web servers over http and https, and what their responses say about a file."""

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
PARTIAL_CONTENT, RANGE_NOT_SATISFIABLE = 206, 416
_TEMPORARY_FAILURES = (408, 425, 429, 500, 502, 503, 504)


class ConnectionLost(Exception):
    """The connection failed or ended early; another attempt can continue from the bytes received so far."""


def is_url(text: str) -> bool:
    """Whether a text is a URL rather than a path."""
    return re.match(r"[a-z][a-z0-9+.-]*://", text, re.IGNORECASE) is not None


def check_url(url: str) -> None:
    """Raises ConfigError for a URL that cannot be downloaded."""
    parts = split_url(url)
    if parts.scheme == "gs":
        raise ConfigError(
            f"{url} is a URL for gsutil; use https://storage.googleapis.com/{parts.netloc}{parts.path}, which is the "
            "same file"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{without_query(url)} can't be downloaded; expected a URL with http:// or https://")


def split_url(url: str) -> urllib.parse.SplitResult:
    """Return the parts of a URL. Raises ConfigError for one that is malformed."""
    try:
        if not url.isprintable() or " " in url or not url.isascii():
            raise ValueError("it holds blanks, control characters or letters that must be written as %xx")
        parts = urllib.parse.urlsplit(url)
        _ = parts.hostname, parts.port  # raise ValueError for a wrong address or port
        if parts.hostname:
            parts.hostname.encode("idna")
    except ValueError as error:
        raise ConfigError(f"{without_query(url)} is not a valid URL: {error}") from None
    return parts


def without_query(url: str) -> str:
    """The URL without its query, which may hold an access key. Use it in messages."""
    return url.partition("?")[0]


@contextlib.contextmanager
def open_url(url: str, headers: Mapping[str, str]) -> Iterator[Any]:
    """Sends a GET request and follows redirects.

    Yields:
      an `http.client.HTTPResponse`, or a response with the status RANGE_NOT_SATISFIABLE.

    Raises:
      ConnectionLost: the connection failed, also while the caller reads the response; or the server is busy.
      EnvironmentProblem: the host is unknown, its certificate is invalid, or it refuses the file.
      ConfigError: the URL is malformed.
    """
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(), urllib.request.HTTPHandler(), urllib.request.HTTPSHandler(), SafeRedirects(),
        urllib.request.HTTPErrorProcessor(), urllib.request.HTTPDefaultErrorHandler(),
    ):  # fmt: skip
        opener.add_handler(handler)  # none for the schemes file and ftp, so that no redirect leads there
    request = urllib.request.Request(url, headers={"User-Agent": f"mnasnet/{__version__}", **headers})
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            yield response
    except urllib.error.HTTPError as error:
        if error.code == RANGE_NOT_SATISFIABLE:
            yield error
        elif error.code in _TEMPORARY_FAILURES:
            raise ConnectionLost(f"the server answered {error.code} {error.reason}") from error
        else:
            raise EnvironmentProblem(
                f"{without_query(url)} can't be downloaded: the server answered {error.code} {error.reason}; check "
                "the URL"
            ) from error
    except (http.client.InvalidURL, UnicodeError) as error:
        raise ConfigError(f"{without_query(url)} is not a valid URL: {error}") from error
    # ValueError: a server that answers with nonsense, such as a chunk of a negative size.
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        host = urllib.parse.urlsplit(url).hostname
        if isinstance(reason, socket.gaierror):
            raise EnvironmentProblem(f"the host {host} can't be found; check the network connection") from error
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise EnvironmentProblem(f"the certificate of {host} is not valid ({reason.verify_message})") from error
        raise ConnectionLost(f"the connection failed ({reason or type(error).__name__})") from error


class SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but not from https to http and not to other schemes."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        try:
            scheme = split_url(newurl).scheme
        except ConfigError as error:
            raise EnvironmentProblem(
                f"{without_query(req.full_url)} redirects to an address that can't be followed: {error}"
            ) from None
        if scheme not in ("http", "https") or (req.type == "https" and scheme != "https"):
            raise EnvironmentProblem(
                f"{without_query(req.full_url)} redirects to {without_query(newurl)}, which is less secure; the "
                "redirect is not followed"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def range_start(response: Any) -> int:
    """The position of the response's first byte within the file."""
    found = re.match(r"bytes ([0-9]{1,18})-", response.headers.get("Content-Range", ""))
    return int(found[1]) if response.status == PARTIAL_CONTENT and found else 0


def total_size(response: Any) -> int | None:
    """The size of the whole file in bytes; None if the server does not state it.

    Raises:
      DataError: the response is a web page, or is compressed.
    """
    if response.headers.get_content_type() in ("text/html", "application/xhtml+xml"):
        raise DataError(f"{without_query(response.url)} is a web page, not a file; use the URL of its download link")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise DataError(f"{without_query(response.url)} is sent compressed, so its size can't be checked")
    length = response.headers.get("Content-Length") or ""
    known = length.isascii() and length.isdigit() and len(length) <= 18
    return int(length) + range_start(response) if known else None


def validator(response: Any) -> str | None:
    """A value for If-Range: a strong ETag, else the modification date; None if the server sends neither."""
    tag = response.headers.get("ETag") or ""
    return tag if tag.startswith('"') else response.headers.get("Last-Modified")
