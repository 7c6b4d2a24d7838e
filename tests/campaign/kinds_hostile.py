"""Faults from others: odd names of folders, archives that lie, and servers that misbehave."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import checks
import child
import kinds_interrupts
import outputs
from commands import COMMANDS, lay_out
from fault import Fault
from hostile_archives import ARCHIVES, TARS

ODD_NAMES = (
    "[a] *?",
    "{x} $HOME %s",
    "ünïcödé 名",
    "back\\slash 'q\" ",
    "-dash",
    "x" * 120,
    "new\nline",
    "\x1b[31mred",
)
COUNTS = {"odd folder": ((3, 1), (1, 0)), "hostile archive": (60, 6), "hostile server": (40, 4)}


def make(reference: dict[str, dict[str, Any]], quick: bool, rng: Random) -> Iterator[Fault]:
    """Yield the faults of the three kinds."""
    for name, command in COMMANDS.items():
        if "skipped" not in reference.get(name, {"skipped": ""}):
            for number in range(COUNTS["odd folder"][quick][command.warm]):  # type: ignore[index]
                how = {"name": ODD_NAMES[(number + len(name) * 3) % len(ODD_NAMES)]}
                yield Fault("odd folder", name, number, rng.randrange(2**32), command.warm, how)
    for kind, ways in (("hostile archive", ARCHIVES), ("hostile server", SERVERS)):
        count: Any = COUNTS[kind][quick]
        targets = ("prepare-imagenet", "prepare-coco") if kind == "hostile archive" else ("import",)
        every = [(target, way) for way in ways for target in targets[: 1 if way in TARS else 2]]
        for number, (target, way) in enumerate(every if len(every) <= count else rng.sample(every, count)):
            yield Fault(kind, target, number, rng.randrange(2**32), False, {"way": way})


def run(fault: Fault, template: Path, place: Path, reference: dict[str, dict[str, Any]]) -> list[str]:
    """Try a fault; return what was wrong."""
    if fault.kind == "odd folder":
        return _odd_folder(fault, template, place, reference[fault.command])
    if fault.kind == "hostile archive":
        return _archive(fault, template, place)
    return _server(fault, template, place)


def _odd_folder(fault: Fault, template: Path, place: Path, found: dict[str, Any]) -> list[str]:
    """All inputs and outputs lie in a folder with an odd name, and all paths name it."""
    command, odd = COMMANDS[fault.command], fault.how["name"]
    lay_out(template, place / odd, command)
    roots = ("out/", *command.inputs)
    prefix = f"./{odd}/"
    words = []
    for word in command.words:
        flag, equals, value = word.rpartition("=") if word.startswith("--") else ("", "", word)
        words.append(f"{flag}{equals}{prefix}{value}" if value.startswith(roots) else word)
    outcome = child.run(words, place, warm=command.warm)
    problems = checks.message_problems(outcome, {0})
    problems += checks.file_problems(place / odd, {}, found, hard=False)
    named = [path for path in found["files"] if not path.startswith("phone/models/")]  # named after the model's folder
    problems += kinds_interrupts.done_problems(place / odd, {"files": named})
    again = child.run([*words, *command.again], place, warm=command.warm)
    codes = {2} if command.refusal else {0}
    return problems + [f"the next call: {problem}" for problem in checks.message_problems(again, codes)]


# --- archives -------------------------------------------------------------------------------------------------------


def _archive(fault: Fault, template: Path, place: Path) -> list[str]:
    """Prepare records from an archive that lies."""
    (place / "out").mkdir(parents=True)
    way = fault.how["way"]
    source = place / ("source" if way in TARS else "source.zip")
    ARCHIVES[way](source, (template / "pictures/1.jpg").read_bytes())
    before = outputs.digests(source)
    words = [fault.command, source.name, "out/records", "--train-shards=1", "--val-shards=1", "--workers=1"]
    outcome = child.run(words, place, warm=False)
    problems = checks.message_problems(outcome, {0, 2})
    problems += checks.file_problems(place, {}, {"same": {}, "files": []}, hard=False)
    if outputs.digests(source) != before:
        problems.append("the archive was changed")
    escaped = [
        path for path in (place.parent / "escaped", place / "escaped", Path("/tmp/escaped-campaign")) if path.exists()
    ]
    problems += [f"escaped: {path}" for path in escaped]
    others = {path.name for path in place.iterdir()} - {source.name, "out"}
    return problems + [f"written beside the archive: {name}" for name in sorted(others)]


# --- servers --------------------------------------------------------------------------------------------------------

OK = b"HTTP/1.1 200 OK\r\n"
ENDLESS = None
# What is sent; a number is a pause in seconds.
Answers = list[bytes | float | None]
SERVERS: dict[str, Answers | str] = {
    "not found": [b"HTTP/1.1 404 \x1b[31mGone\x07\r\nContent-Length: 0\r\n\r\n"],
    "an error of the server": [b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\nOops"],
    "no HTTP": [b"SSH-2.0-OpenSSH\r\n"],
    "nothing": [],
    "no number as length": [OK + b"Content-Length: many\r\n\r\nabc"],
    "a negative length": [OK + b"Content-Length: -5\r\n\r\nabc"],
    "a length of 5,000 digits": [OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nabc"],
    "less than promised": [OK + b"Content-Length: 1000\r\n\r\nabc"],
    "an empty file": [OK + b"Content-Length: 0\r\n\r\n"],
    "a page instead of weights": [OK + b"Content-Type: text/html\r\nContent-Length: 15\r\n\r\n<html>no</html>"],
    "a wrong chunk": [OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n"],
    "a redirect to a file": [b"HTTP/1.1 302 Found\r\nLocation: file:/etc/passwd\r\nContent-Length: 0\r\n\r\n"],
    "a redirect without a place": [b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"],
    "a malformed redirect": [b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\nContent-Length: 0\r\n\r\n"],
    "redirects in a circle": [b"HTTP/1.1 302 Found\r\nLocation: /again.pth\r\nContent-Length: 0\r\n\r\n"],
    "headers without an end": [OK + b"X: " + b"y" * 70_000],
    "more headers than anyone reads": [OK, *([b"X: y\r\n"] * 1000)],
    "headers, one by one": [OK, *([0.1, b"X: y\r\n"] * 10)],
    "a slow body": [OK + b"Content-Length: 20\r\n\r\n", *([0.1, b"a"] * 20)],
    "a body that stops": [OK + b"Content-Length: 1000\r\n\r\nabc", 3.0],
    "a body without an end": [OK + b"\r\n", ENDLESS],
    "chunks without an end": [
        OK + b"Transfer-Encoding: chunked\r\n\r\n",
        *([b"100000\r\n" + bytes(2**20) + b"\r\n"] * 40),
    ],
    "a length of a terabyte": [OK + b"Content-Length: 1000000000000\r\n\r\n", ENDLESS],
    "URL: no host": "http:///weights.pth",
    "URL: no number as port": "http://127.0.0.1:port/w.pth",
    "URL: a port too high": "http://127.0.0.1:99999/w.pth",
    "URL: half an address": "http://[::1/w.pth",
    "URL: control characters": "http://127.0.0.1:9/\x1b[31m.pth",
    "URL: another scheme": "gopher://127.0.0.1/w.pth",
    "URL: nobody answers": "http://127.0.0.1:9/w.pth",
}


def _send(connection: socket.socket, answers: Answers) -> None:
    for answer in answers:
        if isinstance(answer, float):
            time.sleep(answer)
        elif answer is ENDLESS:
            while True:  # until the other side has enough
                connection.sendall(bytes(2**20))
        else:
            connection.sendall(answer)


def _serve(answers: Answers, stop: threading.Event) -> tuple[int, threading.Thread]:
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.1)

    def loop() -> None:
        while not stop.is_set():
            try:
                connection, _ = server.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(2)
                try:
                    connection.recv(65536)
                    _send(connection, answers)
                except OSError:
                    continue
        server.close()

    thread = threading.Thread(target=loop)
    thread.start()
    return server.getsockname()[1], thread


def _server(fault: Fault, template: Path, place: Path) -> list[str]:
    """Import weights from a server that misbehaves."""
    (place / "out").mkdir(parents=True)
    way, stop, thread = SERVERS[fault.how["way"]], threading.Event(), None
    url = way if isinstance(way, str) else ""
    if isinstance(way, list):
        port, thread = _serve(way, stop)
        url = f"http://127.0.0.1:{port}/weights.safetensors"
    try:
        environment = {"MNASNET_CACHE": os.fspath(place / "cache"), "no_proxy": "*"}
        words = ["import", url, "out/imported", "--variant=b1"]
        outcome = child.run(words, place, warm=False, environment=environment, injection={"action": "hurry"})
    finally:
        stop.set()
        if thread:
            thread.join()
    problems = checks.message_problems(outcome, {2})
    cached = [path for path in (place / "cache").rglob("*") if path.is_file() and not outputs.is_temporary(path.name)]
    believed = [path.name for path in cached if path.stat().st_size < 100 and "page" not in fault.how["way"]]
    problems += [
        f"kept under its final name: {name}" for name in believed if not name.endswith((".part", ".part.mark", ".lock"))
    ]
    return problems + checks.file_problems(place, {}, {"same": {}, "files": []}, hard=False)
