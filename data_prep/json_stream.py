"""Read a big JSON object piece by piece: one element of its lists at a time is in memory, never the whole file.

COCO's training annotations are 450 MB of text, most of it outlines that boxes don't need.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import IO, Any

CHUNK_BYTES = 1 << 20
START = -1
_SPACE = re.compile(r"[ \t\r\n]*")
_TOKEN = 32  # characters; numbers and literals are shorter, so a piece that was cut within one fails this near its end


class NotJsonError(ValueError):
    """The message says what the file is instead of a JSON object, after the words "it is"."""


def members(file: IO[bytes]) -> Iterator[tuple[str, int, Any]]:
    """Yield what a JSON object holds, in the file's order.

    For each key (key, START, value) first, where the value of a list is the type `list`; then, for a list, each
    element with its number from 0: (key, number, element). Raises NotJsonError.
    """
    text = _Text(file)
    first = text.peek()
    if first != "{":
        kinds = {"": "empty", "[": "a JSON list, not a JSON object", '"': "a JSON string, not a JSON object"}
        raise NotJsonError(kinds.get(first, "not JSON"))
    text.take("{")
    while text.peek() != "}":
        key = text.value()
        text.take(":")
        if text.peek() == "[":
            yield str(key), START, list
            yield from ((str(key), number, element) for number, element in enumerate(_elements(text)))
        else:
            yield str(key), START, text.value()
        if text.peek() != "}":
            text.take(",")
    text.take("}")


def _elements(text: _Text) -> Iterator[Any]:
    text.take("[")
    while text.peek() != "]":
        yield text.value()
        if text.peek() != "]":
            text.take(",")
    text.take("]")


class _Text:
    """A window on the file's text that moves forward."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._scan = json.JSONDecoder().raw_decode
        self._text, self._at, self._before = "", 0, 0  # _before: characters that were dropped
        self._whole = False

    def peek(self) -> str:
        """Return the next character that is no space, "" at the end."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]  # it matches always
            if self._at < len(self._text) or self._whole:
                return self._text[self._at : self._at + 1]
            self._more()

    def take(self, expected: str) -> None:
        """Step over a character."""
        found = self.peek()
        if found != expected:
            raise self._fault(f"expected '{expected}'", self._at)
        self._at += 1

    def value(self) -> Any:
        """Step over a value and return it."""
        self.peek()
        while True:
            try:
                value, end = self._scan(self._text, self._at)
            except json.JSONDecodeError as error:
                unclear = error.msg.startswith("Unterminated") or error.pos >= len(self._text) - _TOKEN
                if self._whole or not unclear:
                    raise self._fault(error.msg[:1].lower() + error.msg[1:], error.pos) from None
            except (ValueError, RecursionError) as error:
                raise self._fault(str(error).lower(), self._at) from None
            else:
                if end < len(self._text) or self._whole:  # else a number might go on
                    self._at = end
                    return value
            self._more()

    def _more(self) -> None:
        """Move on by as much as is pending, so that a long element is scanned few times."""
        self._before += self._at
        pending = self._text[self._at :]
        try:
            data = self._file.read(max(CHUNK_BYTES, len(pending)))
            self._text, self._at, self._whole = pending + self._decode(data, not data), 0, not data
        except UnicodeDecodeError:
            raise NotJsonError("not a text file") from None

    def _fault(self, reason: str, at: int) -> NotJsonError:
        if self._whole and at >= len(self._text.rstrip()):
            return NotJsonError("JSON that is cut off")
        return NotJsonError(f"not JSON ({reason} at character {self._before + at:,})")
