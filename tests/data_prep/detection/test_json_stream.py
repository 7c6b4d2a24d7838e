"""A JSON object that is read in chunks has the same content as with json.load, for any size of the chunks."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from data_prep.detection import json_stream
from data_prep.detection.json_stream import START, NotJsonError, members

CONTENT = {
    "info": {"text": 'a "quoted" [word] é\u2028', "deep": [[1, [2]]]},
    "numbers": [0, -1.5e10, 123456789, None, True],
    "empty": [],
    "rows": [{"id": 1, "text": "x" * 100}, {"id": 2, "list": [1, 2, 3]}],
    "scalar": 12345,
}


def collect(data: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, number, value in members(io.BytesIO(data)):
        if number == START:
            found[key] = [] if value is list else value
        else:
            assert number == len(found[key])
            found[key].append(value)
    return found


@pytest.mark.parametrize("chunk", [1, 2, 7, 64, 1 << 20])
@pytest.mark.parametrize("indent", [None, 2])
def test_same_as_json(monkeypatch: pytest.MonkeyPatch, chunk: int, indent: int | None) -> None:
    monkeypatch.setattr(json_stream, "CHUNK_BYTES", chunk)
    text = json.dumps(CONTENT, indent=indent, ensure_ascii=False)
    assert collect(text.encode()) == CONTENT
    assert collect(b"\xef\xbb\xbf" + text.encode() + b"\n") == CONTENT
    assert collect(b" {} ") == {}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"[1]", "a JSON list, not a JSON object"),
        (b'"x"', "a JSON string"),
        (b"\xff\xd8\xff\xe0 a picture", "not a text file"),
        (b"id,name\n1,dog\n", "not JSON$"),
        (b'{"a": [1, 2', "JSON that is cut off"),
        (b'{"a": [{"b": "tex', "JSON"),
        (b'{"a": [1 2]}', r"not JSON \(expected ',' at character 9\)"),
        (b'{"a" 1}', "expected ':' at character 5"),
        (b'{"a": [{"b" 1}], "c": 1}', "not JSON .*delimiter at character 12"),
        (b'{"a": nope}', "expecting value at character 6"),
        (b'{"a": ' + b"[" * 100_000, "JSON"),
        (b'{"a": [' + b"9" * 5000 + b"]}", r"not JSON \(a number has too many digits at character 7\)"),
    ],
)
@pytest.mark.parametrize("chunk", [3, 1 << 20])
def test_what_is_no_json_object(monkeypatch: pytest.MonkeyPatch, data: bytes, message: str, chunk: int) -> None:
    monkeypatch.setattr(json_stream, "CHUNK_BYTES", chunk)
    with pytest.raises(NotJsonError, match=message):
        collect(data)
