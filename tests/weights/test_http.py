"""URLs, redirects and headers, without a server; `test_download` has the requests."""

from __future__ import annotations

import urllib.request
from email.message import Message
from types import SimpleNamespace

import pytest

from mnasnet_cli.errors import ConfigError, DataError, EnvironmentProblem
from mnasnet_cli.weights.http import (
    SafeRedirects,
    check_url,
    is_url,
    range_start,
    total_size,
    validator,
    without_query,
)


def response(status: int = 200, **headers: str) -> SimpleNamespace:
    message = Message()
    for name, value in {"Content_Type": "application/octet-stream", **headers}.items():
        message[name.replace("_", "-")] = value
    return SimpleNamespace(status=status, headers=message, url="https://host/net.pth?key=secret")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("https://host/x", True), ("GS://bucket/x", True), ("runs/x", False), ("C:\\x", False), ("://x", False)],
)
def test_urls_and_paths(text: str, expected: bool) -> None:
    assert is_url(text) == expected


@pytest.mark.parametrize("url", ["ftp://host/net.pth?key=secret", "FILE:///net.pth", "https:///net.pth"])
def test_other_schemes_are_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="https://") as caught:
        check_url(url)
    assert "secret" not in str(caught.value)


def test_gsutil_urls_are_translated() -> None:
    with pytest.raises(ConfigError, match=r"https://storage\.googleapis\.com/bucket/a/net\.tgz"):
        check_url("gs://bucket/a/net.tgz")


def test_messages_show_no_query() -> None:
    assert without_query("https://host/net.pth?key=secret") == "https://host/net.pth"


@pytest.mark.parametrize("target", ["http://host/net.pth", "ftp://host/net.pth"])
def test_redirects_to_less_secure_urls_are_refused(target: str) -> None:
    request = urllib.request.Request("https://host/net.pth?key=secret")
    with pytest.raises(EnvironmentProblem, match=target) as caught:
        SafeRedirects().redirect_request(request, None, 302, "Found", Message(), target)
    assert "secret" not in str(caught.value)


def test_redirects_to_https_are_followed() -> None:
    request = urllib.request.Request("http://host/net.pth")
    followed = SafeRedirects().redirect_request(request, None, 302, "Found", Message(), "https://other/net.pth")
    assert followed.full_url == "https://other/net.pth"


def test_size_and_range() -> None:
    assert total_size(response()) is None
    assert total_size(response(Content_Length="10")) == 10
    partial = response(206, Content_Length="10", Content_Range="bytes 5-14/15")
    assert (range_start(partial), total_size(partial)) == (5, 15)
    assert range_start(response(200, Content_Range="bytes 5-14/15")) == 0


@pytest.mark.parametrize("headers", [{"Content_Type": "text/html; charset=utf-8"}, {"Content_Encoding": "gzip"}])
def test_pages_and_compressed_responses_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(DataError, match=r"https://host/net\.pth ") as caught:
        total_size(response(**headers))
    assert "secret" not in str(caught.value)


def test_validators() -> None:
    date = "Tue, 24 Nov 2026 10:00:00 GMT"
    assert validator(response(ETag='"one"', Last_Modified=date)) == '"one"'
    assert validator(response(ETag='W/"weak"', Last_Modified=date)) == date
    assert validator(response()) is None
