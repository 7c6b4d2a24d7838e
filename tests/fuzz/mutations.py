"""Damaged versions of a file, as disks, networks and other programs make them, and as attackers do."""

from __future__ import annotations

import random
import re

_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
_STRING = re.compile(rb'"[^"\\]{0,40}"')
# What stands in place of a value in text.
VALUES = (
    b"null",
    b"true",
    b"-1",
    b"0",
    b"1e999",
    b"-1e999",
    b"NaN",
    b"Infinity",
    b"9" * 5000,
    b"9" * 20,
    b"1.5",
    b'"x"',
    b'""',
    b"[]",
    b"{}",
    b"[[1]]",
    b'{"a": 1}',
    b"[" * 3000,
    b"[" * 200 + b"]" * 200,
    b'"\\ud800"',
    b'"a\\u0000b"',
    b'"\\u001b[31m"',
    b'"' + b"n" * 100_000 + b'"',
    b'"../../../etc/passwd"',
    b'"/dev/zero"',
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\x00",
    b"\x1b]0;x\x07",
    b"<!DOCTYPE a [<!ENTITY b 'c'>]>",
    b"<a>" * 100,
    b"&amp;",
    b"\t",
    b",",
    b"\n",
    b"- ",
    b": ",
    b"&a [*a]",
    b"2024-99-99",
    b"0x1F",
)


def mutate(data: bytes, random_: random.Random) -> bytes:
    """Return a damaged version of a file: one to three changes."""
    for _ in range(random_.choice((1, 1, 2, 3))):
        data = random_.choice(_CHANGES)(data, random_)
    return data


def _flip(data: bytes, random_: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(random_.choice((1, 1, 4, 32))):
        if changed:
            changed[random_.randrange(len(changed))] ^= 1 << random_.randrange(8)
    return bytes(changed)


def _overwrite(data: bytes, random_: random.Random) -> bytes:
    start, length = _range(data, random_)
    filler = random_.choice((b"\0", b"\xff", b"A", b"["))
    return data[:start] + filler * length + data[start + length :]


def _cut(data: bytes, random_: random.Random) -> bytes:
    start, length = _range(data, random_)
    return random_.choice((data[:start], data[:start] + data[start + length :], data[start:]))


def _double(data: bytes, random_: random.Random) -> bytes:
    start, length = _range(data, random_)
    part = data[start : start + length][:4096]
    return data[:start] + part * random_.choice((2, 3, 50)) + data[start + length :]


def _number(data: bytes, random_: random.Random) -> bytes:
    """Replace four or eight bytes by a number that is large or negative in some byte order."""
    if len(data) < 8:
        return data
    start = random_.randrange(len(data) - 7)
    size = random_.choice((2, 4, 8))
    value = random_.choice((0, 1, (1 << 8 * size) - 1, 1 << 8 * size - 1, (1 << 8 * size - 1) - 1, 56_540, 1 << 20))
    order = random_.choice(("little", "big"))
    return data[:start] + (value % (1 << 8 * size)).to_bytes(size, order) + data[start + size :]  # type: ignore[arg-type]


def _replace_value(data: bytes, random_: random.Random) -> bytes:
    """Replace a number or a string of a text by another value; without any, insert one."""
    found = list(random_.choice((_NUMBER, _STRING)).finditer(data[: 1 << 16]))
    value = random_.choice(VALUES)
    if not found:
        place = random_.randrange(len(data) + 1)
        return data[:place] + value + data[place:]
    match = random_.choice(found)
    return data[: match.start()] + value + data[match.end() :]


def _range(data: bytes, random_: random.Random) -> tuple[int, int]:
    start = random_.randrange(len(data) + 1)
    return start, min(len(data) - start, random_.choice((1, 8, 64, 1024, len(data) // 2 + 1)))


_CHANGES = (_flip, _flip, _overwrite, _cut, _double, _number, _replace_value, _replace_value, _replace_value)
