"""Reads a large JSON object element by element, so that only one element of its lists is in memory.

COCO's training annotations have 450 MB, mostly segmentations, which boxes do not need.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import IO, Any

from mnasnet_cli.system.documents import json_fault

CHUNK_BYTES = 1 << 20
START = -1
_SPACE = re.compile(r"[ \t\r\n]*")
_MAX_TOKEN = 32  # longer than any number or literal: an error this near the end may be due to a token that is cut off


class NotJsonError(ValueError):
    """The file is not a JSON object. The message says what it is, after the words "it is"."""


def members(file: IO[bytes]) -> Iterator[tuple[str, int, Any]]:
    """Yield the members of a JSON object, in the file's order.

    For each key, yield (key, START, value), where the value of a list is the type `list`. For a list, also yield each
    element with its number from 0: (key, number, element). Raises NotJsonError.
    """
    text = _TextWindow(file)
    first = text.peek()
    if first != "{":
        kinds = {"": "empty", "[": "a JSON list, not a JSON object", '"': "a JSON string, not a JSON object"}
        raise NotJsonError(kinds.get(first, "not JSON"))
    text.skip("{")
    while text.peek() != "}":
        key = text.read_value()
        text.skip(":")
        if text.peek() == "[":
            yield str(key), START, list
            yield from ((str(key), number, element) for number, element in enumerate(_elements(text)))
        else:
            yield str(key), START, text.read_value()
        if text.peek() != "}":
            text.skip(",")
    text.skip("}")


def _elements(text: _TextWindow) -> Iterator[Any]:
    text.skip("[")
    while text.peek() != "]":
        yield text.read_value()
        if text.peek() != "]":
            text.skip(",")
    text.skip("]")


class _TextWindow:
    """The part of the file's text that is in memory. It moves forward only."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._scan = json.JSONDecoder().raw_decode
        self._text, self._position = "", 0
        self._offset = 0  # of the window in the file, in characters
        self._at_end = False

    def peek(self) -> str:
        """Return the next character that is not a space, "" at the end."""
        while True:
            self._position = _SPACE.match(self._text, self._position).end()  # type: ignore[union-attr]  # always matches
            if self._position < len(self._text) or self._at_end:
                return self._text[self._position : self._position + 1]
            self._read_more()

    def skip(self, expected: str) -> None:
        """Move past a character. Raises NotJsonError if the next one is another."""
        if self.peek() != expected:
            raise self._error(f"expected '{expected}'", self._position)
        self._position += 1

    def read_value(self) -> Any:
        """Move past a value and return it."""
        self.peek()
        while True:
            try:
                value, end = self._scan(self._text, self._position)
            except json.JSONDecodeError as error:
                perhaps_cut_off = error.msg.startswith("Unterminated") or error.pos >= len(self._text) - _MAX_TOKEN
                if self._at_end or not perhaps_cut_off:
                    raise self._error(json_fault(error), error.pos) from None
            except (ValueError, RecursionError) as error:
                raise self._error(json_fault(error), self._position) from None
            else:
                if end < len(self._text) or self._at_end:  # a number at the window's end may continue
                    self._position = end
                    return value
            self._read_more()

    def _read_more(self) -> None:
        """Drop the text before the position and read more: at least as much as is left, to scan long values rarely."""
        self._offset += self._position
        rest = self._text[self._position :]
        try:
            data = self._file.read(max(CHUNK_BYTES, len(rest)))
            self._text, self._position, self._at_end = rest + self._decode(data, not data), 0, not data
        except UnicodeDecodeError:
            raise NotJsonError("not a text file") from None

    def _error(self, reason: str, position: int) -> NotJsonError:
        if self._at_end and position >= len(self._text.rstrip()):
            return NotJsonError("JSON that is cut off")
        return NotJsonError(f"not JSON ({reason} at character {self._offset + position:,})")
