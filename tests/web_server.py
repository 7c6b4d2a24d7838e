"""A web server on loopback with the faults that tests ask for; import its fixture `server`."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mnasnet_cli.weights import download

CONTENT = bytes(range(256)) * 4000  # 1,024,000 bytes
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OTHER = b"another version" * 1000


class Server(ThreadingHTTPServer):
    """Serves CONTENT under every name; the attributes change how."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.etag: str | None = '"one"'
        self.ranges = True
        self.chunked = False
        self.cuts: list[int] = []  # for each of the next responses: bytes after which the connection is closed
        self.headers: dict[str, str] = {}
        self.status: list[int] = []  # for each of the next responses
        self.location = ""
        self.seen: list[dict[str, str]] = []  # the headers of each request

    def handle_error(self, request: object, client_address: object) -> None:
        """Stays quiet when a client closes the connection early."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/models/net-1.pth"


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        server = self.server
        server.seen.append(dict(self.headers))
        self.close_connection = True
        if server.status:
            self._respond(server.status.pop(0), b"", {"Location": server.location} if server.location else {})
            return
        content, start, status = server.content, 0, 200
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        headers = dict(server.headers)
        if asked and server.ranges and self.headers.get("If-Range") == server.etag:
            start, status = int(asked[1]), 206
            if start >= len(content):
                self._respond(416, b"", {"Content-Range": f"bytes */{len(content)}"})
                return
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if server.etag:
            headers["ETag"] = server.etag
        self._respond(status, content[start:], headers)

    def _respond(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked") if self.server.chunked else self.send_header(
            "Content-Length", str(len(body))
        )
        self.end_headers()
        cut = self.server.cuts.pop(0) if self.server.cuts and body else None
        sent = body[:cut]
        if self.server.chunked:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(sent), sent) + (b"0\r\n\r\n" if cut is None else b""))
        else:
            self.wfile.write(sent)
        self.wfile.flush()
        if cut is not None:
            self.connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(download, "RETRY_SECONDS", (0.0, 0.0))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
