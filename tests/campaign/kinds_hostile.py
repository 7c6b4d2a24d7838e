"""Faults from others: odd names of folders, archives that lie, and servers that misbehave."""

from __future__ import annotations

import json
import os
import socket
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import checks
import child
import kinds_interrupts
import outputs
from commands import COMMANDS, lay_out
from fault import Fault

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
COUNTS = {"odd folder": ((3, 1), (1, 0)), "hostile archive": (30, 6), "hostile server": (20, 4)}


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
        every = [(target, way) for way in ways for target in targets]
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
    problems += kinds_interrupts.done_problems(place / odd, found)
    again = child.run([*words, *command.again], place, warm=command.warm)
    return problems + [f"the next call: {problem}" for problem in checks.message_problems(again, {0})]


# --- archives -------------------------------------------------------------------------------------------------------


def _zip_of(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def _picture(template: Path) -> bytes:
    return (template / "pictures/1.jpg").read_bytes()


def _bomb(path: Path) -> None:
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("train/a/bomb.jpg", "w", force_zip64=True) as file,
    ):
        for _ in range(300):
            file.write(bytes(1_000_000))


def _lying_size(path: Path, picture: bytes) -> None:
    _zip_of(path, {"train/a/1.jpg": picture, "train/b/2.jpg": picture})
    data = bytearray(path.read_bytes())
    at = data.rfind(b"PK\x01\x02")
    data[at + 24 : at + 28] = (0x7FFFFFFF).to_bytes(4, "little")
    path.write_bytes(data)


def _cut_off(path: Path, picture: bytes) -> None:
    _zip_of(path, {"train/a/1.jpg": picture})
    path.write_bytes(path.read_bytes()[:-30])


def _coco_zip(path: Path, picture: bytes, content: dict[str, Any] | bytes) -> None:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    _zip_of(path, {"train2017/1.jpg": picture, "annotations/instances_train2017.json": data})


def _image(number: int, name: str) -> dict[str, Any]:
    return {"id": number, "file_name": name, "width": 96, "height": 72}


BOX = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 20, 20], "area": 400, "iscrowd": 0}
LONG_CATEGORY = {
    "images": [_image(1, "1.jpg")], "categories": [{"id": 1, "name": "\x1b[2J" + "a" * 100_000}], "annotations": [BOX],
}  # fmt: skip
ODD_FILE_NAMES = {
    "images": [_image(1, "1\0.jpg"), _image(2, "\ud800.jpg")], "categories": [{"id": 1, "name": "a"}],
    "annotations": [BOX],
}  # fmt: skip
NAMES = {
    "up and out": "../../../escaped/1.jpg",
    "absolute": "/tmp/escaped-campaign/1.jpg",
    "escape sequences": "train/\x1b[31ma/1.jpg",
    "a newline": "train/a\nb/1.jpg",
    "a very long name": "train/" + "a" * 3000 + "/1.jpg",
    "backslashes": "train\\a\\1.jpg",
    "no name": "train//.jpg",
    "a folder without an image": "train/a/CON",
}


def _named(name: str) -> Callable[[Path, bytes], None]:
    return lambda path, picture: _zip_of(path, {name: picture, "train/b/2.jpg": picture})


ARCHIVES: dict[str, Callable[[Path, bytes], None]] = {
    **{f"zip: {key}": _named(name) for key, name in NAMES.items()},
    "zip: a bomb": lambda path, picture: _bomb(path),
    "zip: a size that lies": _lying_size,
    "zip: cut off": _cut_off,
    "zip: empty": lambda path, picture: _zip_of(path, {}),
    "zip: a zip in a zip": lambda path, picture: _zip_of(path, {"train.zip": b"PK\x03\x04" + picture}),
    "zip: not one": lambda path, picture: path.write_bytes(picture) and None,
    "zip: deep annotations": lambda path, picture: _coco_zip(path, picture, b"[" * 200_000),
    "zip: a long category": lambda path, picture: _coco_zip(path, picture, LONG_CATEGORY),
    "zip: odd file names": lambda path, picture: _coco_zip(path, picture, ODD_FILE_NAMES),
}


def _archive(fault: Fault, template: Path, place: Path) -> list[str]:
    """Prepare records from an archive that lies."""
    (place / "out").mkdir(parents=True)
    ARCHIVES[fault.how["way"]](place / "source.zip", _picture(template))
    before = outputs.digest(place / "source.zip")
    words = [fault.command, "source.zip", "out/records", "--train-shards=1", "--val-shards=1", "--workers=1"]
    outcome = child.run(words, place, warm=False)
    problems = checks.message_problems(outcome, {0, 2})
    problems += checks.file_problems(place, {}, {"same": {}, "files": []}, hard=False)
    if outputs.digest(place / "source.zip") != before:
        problems.append("the archive was changed")
    escaped = [
        path for path in (place.parent / "escaped", place / "escaped", Path("/tmp/escaped-campaign")) if path.exists()
    ]
    problems += [f"escaped: {path}" for path in escaped]
    others = {path.name for path in place.iterdir()} - {"source.zip", "out"}
    return problems + [f"written beside the archive: {name}" for name in sorted(others)]


# --- servers --------------------------------------------------------------------------------------------------------

OK = b"HTTP/1.1 200 OK\r\n"
SERVERS: dict[str, list[bytes] | str] = {
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
    "URL: no host": "http:///weights.pth",
    "URL: no number as port": "http://127.0.0.1:port/w.pth",
    "URL: a port too high": "http://127.0.0.1:99999/w.pth",
    "URL: half an address": "http://[::1/w.pth",
    "URL: control characters": "http://127.0.0.1:9/\x1b[31m.pth",
    "URL: another scheme": "gopher://127.0.0.1/w.pth",
    "URL: nobody answers": "http://127.0.0.1:9/w.pth",
}


def _serve(answers: list[bytes], stop: threading.Event) -> tuple[int, threading.Thread]:
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
                    for answer in answers:
                        connection.sendall(answer)
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
        outcome = child.run(words, place, warm=False, environment=environment)
    finally:
        stop.set()
        if thread:
            thread.join()
    problems = checks.message_problems(outcome, {2})
    cached = [path for path in (place / "cache").rglob("*") if path.is_file() and not outputs.is_temporary(path.name)]
    believed = [path.name for path in cached if path.stat().st_size < 100 and "page" not in fault.how["way"]]
    problems += [
        f"kept under its final name: {name}" for name in believed if not name.endswith((".part", ".lock", ".json"))
    ]
    return problems + checks.file_problems(place, {}, {"same": {}, "files": []}, hard=False)
