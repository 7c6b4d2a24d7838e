"""Reads XML element by element, with line numbers.

Entities that a document declares are refused: they can expand to gigabytes. Python's expat reads no external entities
unless a program asks for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO
from xml.parsers import expat

MAX_DEPTH = 64
"""Elements within elements. Annotations have 5."""
MAX_TEXT = 1 << 20
"""Letters in an element, besides those of one more chunk. The longest are the masks of CVAT."""
_CHUNK_BYTES = 1 << 16
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_START_TAG = re.compile(r"<([A-Za-z_][\w.:-]*)")


class XmlError(ValueError):
    """The document is damaged. line: where, from 1."""

    def __init__(self, reason: str, line: int) -> None:
        super().__init__(reason)
        self.line = line


@dataclass
class Element:
    """An element. text: what stands directly in it. line: of its start tag, from 1."""

    tag: str
    attributes: dict[str, str]
    line: int
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def all(self, tag: str) -> list[Element]:
        """Return the children with this tag."""
        return [child for child in self.children if child.tag == tag]

    def value(self, *path: str) -> str:
        """Return the text of the first child, grandchild and so on with these tags; "" if there is none."""
        found = self
        for tag in path:
            inside = found.all(tag)
            if not inside:
                return ""
            found = inside[0]
        return found.text.strip()


def root_tag(start: bytes) -> str:
    """Return the tag of the root element from the first bytes of a file; "" if it does not look like XML."""
    encoding = "utf-16" if start.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    text = start.decode(encoding, "replace").lstrip()
    match = _START_TAG.search(_COMMENT.sub("", text)) if text.startswith("<") else None
    return match[1] if match else ""


def children_of_root(file: IO[bytes]) -> Iterator[Element]:
    """Yield the children of the root element, each once it is complete, so that only one is in memory.

    Raises XmlError.
    """
    builder = _Builder()
    try:
        while data := file.read(_CHUNK_BYTES):
            builder.parser.Parse(data, False)
            yield from builder.take()
        builder.parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise XmlError(expat.ErrorString(error.code) or "damaged", error.lineno) from None
    except (ValueError, LookupError) as error:
        if isinstance(error, XmlError):
            raise
        raise XmlError(str(error), builder.parser.CurrentLineNumber) from None  # an encoding that expat does not know
    yield from builder.take()


class _Builder:
    """Builds the children of the root element."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._add_text
        self.parser.EntityDeclHandler = self._refuse_entity
        self._open: list[Element] = []
        self._complete: list[Element] = []

    def take(self) -> list[Element]:
        """Return the elements that are complete and were not returned yet."""
        complete, self._complete = self._complete, []
        return complete

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self._open) >= MAX_DEPTH:
            raise XmlError(f"elements are nested more than {MAX_DEPTH} deep", self.parser.CurrentLineNumber)
        self._open.append(Element(tag, attributes, self.parser.CurrentLineNumber))

    def _end(self, tag: str) -> None:
        element = self._open.pop()
        if len(self._open) == 1:
            self._complete.append(element)
        elif self._open:
            self._open[-1].children.append(element)

    def _add_text(self, text: str) -> None:
        element = self._open[-1]
        if len(element.text) > MAX_TEXT:
            raise XmlError(f"an element holds more than {MAX_TEXT:,} letters", self.parser.CurrentLineNumber)
        element.text += text

    def _refuse_entity(self, name: str, *_: object) -> None:
        raise XmlError(f"it declares the entity '{name}', which is not allowed", self.parser.CurrentLineNumber)
