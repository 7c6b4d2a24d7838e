"""Reads JSON, YAML and text files: the only place that parses them, so that any damage is one clear error.

A file of ours is read with the type that it must have, a dataclass or a pydantic model: `read_json`. Files of other
programs, whose values their readers check one by one, go through `parse_json` or `parse_yaml`.
"""

from __future__ import annotations

import functools
import json
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from mnasnet_cli.errors import DataError, os_error_reason

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")

MAX_BYTES = 1 << 28
"""Of a file of ours. The largest is a preparation's journal: 20 bytes an image and 17 a box, 60 MB for ImageNet."""
MAX_YAML_BYTES = 1 << 20
"""A recipe has 2 kB; PyYAML needs a minute for 10 MB."""
MAX_YAML_NODES = 200_000
"""After aliases are expanded: ten lines of aliases to aliases hold more values than memory."""
MAX_INTEGER = (1 << 63) - 1
# Digits of the longest number that has 64 bits for sure.
MAX_DIGITS = 18
_SHOWN = 60  # characters of a value in a message

JsonObject = dict[str, Any]


class Unreadable(DataError):
    """A file is damaged, or is not what it should be. reason: what is wrong, without the name of the file."""

    def __init__(self, source: object, reason: str, remedy: str = "") -> None:
        super().__init__(f"{source} {reason}{'; ' if remedy else ''}{remedy}")
        self.reason = reason


class Missing(Unreadable):
    """There is no such file."""


def check_regular(path: Path, max_bytes: int | None = None, remedy: str = "") -> int:
    """Return the size of a file in bytes.

    Raises Missing; or Unreadable if it is a folder, a pipe or a device, which may never end, or is too large.
    """
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        raise Missing(path, "does not exist", remedy) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise Unreadable(path, f"can't be read: {_reason(error)}", remedy) from None
    if stat.S_ISDIR(status.st_mode):
        raise Unreadable(path, "is a folder, expected a file", remedy)
    if not stat.S_ISREG(status.st_mode):
        raise Unreadable(path, "is a pipe or a device, expected a file", remedy)
    if max_bytes is not None and status.st_size > max_bytes:
        limit = f"at most {max_bytes / 1e6:,.0f} MB"
        raise Unreadable(path, f"has {status.st_size / 1e6:,.0f} MB, expected {limit}", remedy)
    return status.st_size


def read_bytes(path: Path, max_bytes: int = MAX_BYTES, remedy: str = "") -> bytes:
    """Return the content of a file. Raises the errors of `check_regular`, and Unreadable if it can't be read."""
    check_regular(path, max_bytes, remedy)
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise Unreadable(path, f"can't be read: {_reason(error)}", remedy) from None


def read_text(path: Path, max_bytes: int = MAX_BYTES, remedy: str = "") -> str:
    """Return the content of a UTF-8 file, without a byte order mark. Raises Missing or Unreadable."""
    return decode(read_bytes(path, max_bytes, remedy), path, remedy)


def decode(data: bytes, source: object, remedy: str = "") -> str:
    """Return UTF-8 as text, without a byte order mark. Raises Unreadable."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(source, f"is not text in UTF-8 (byte {error.start:,})", remedy) from None


def read_json(path: Path, model: type[T], remedy: str = "write it again") -> T:
    """Return a JSON file of ours as `model`: a dataclass, a pydantic model, or a type such as `dict[str, Any]`.

    remedy: what to do if it is damaged. Keys that the model does not have are ignored.

    Raises Missing or Unreadable, with what was found and what was expected.
    """
    return validate(parse_json(read_text(path, remedy=remedy), path, remedy=remedy), model, path, remedy)


def read_sound_json(path: Path, model: type[T]) -> T | None:
    """Return a JSON file as `model`; None if it is missing or damaged."""
    try:
        return read_json(path, model)
    except Unreadable:
        return None


def parse_json(text: str | bytes, source: object, *, foreign: bool = False, remedy: str = "") -> Any:
    """Return what JSON holds. Raises Unreadable.

    In a file of ours, numbers are finite, and integers have 64 bits. foreign: other numbers are allowed.
    """
    numbers: dict[str, Any] = {}
    if not foreign:
        numbers = {"parse_int": _integer, "parse_float": _finite, "parse_constant": _no_number}
    try:
        return json.loads(text if isinstance(text, str) else decode(text, source, remedy), **numbers)
    except json.JSONDecodeError as error:
        reason = f"{json_fault(error)} in line {error.lineno}, column {error.colno}"
    except (ValueError, RecursionError) as error:
        reason = json_fault(error)
    raise Unreadable(source, f"is not valid JSON: {reason}", remedy)


def json_fault(error: Exception) -> str:
    """Return what an error of Python's JSON parser says, in words for people."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg[:1].lower()}{error.msg[1:]}"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    # A number with more digits than Python converts, or one that is not finite.
    return "a number has too many digits" if "digits" in str(error) else str(error)


def parse_yaml(text: str, source: object, loader: Any = None, remedy: str = "", *, numbers: bool = False) -> Any:
    """Return what YAML holds. Raises Unreadable.

    loader: PyYAML's SafeLoader, or one like it. numbers: `1e-5` is a number, as in YAML 1.2; PyYAML, which is YAML 1.1,
    reads a string.
    """
    import yaml

    if len(text) > MAX_YAML_BYTES:
        raise Unreadable(source, f"has {len(text) / 1e6:,.1f} MB of YAML, expected at most 1 MB", remedy)
    try:
        tree = yaml.load(text, loader or (_number_loader() if numbers else yaml.SafeLoader))
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
    except RecursionError:
        reason = "it is nested too deeply"
    except (ValueError, TypeError, OverflowError) as error:  # an impossible date, 2024-99-99, or a long number
        reason = str(error)
    else:
        if _is_small(tree):
            return tree
        reason = f"its aliases stand for more than {MAX_YAML_NODES:,} values, or for themselves"
    raise Unreadable(source, f"is not valid YAML: {reason}", remedy)


@functools.cache
def _number_loader() -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    exponent = re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", exponent, list("-+0123456789."))
    return Loader


def validate(tree: Any, model: type[T], source: object, remedy: str = "") -> T:
    """Return what JSON or YAML held as `model`; see `read_json`. Raises Unreadable that names the key."""
    from pydantic import ValidationError

    try:
        found: T = _adapter(model).validate_python(tree)  # type: ignore[arg-type]  # types are hashable
    except ValidationError as error:
        raise Unreadable(source, f"is not as expected: {_first_fault(error)}", remedy) from None
    except RecursionError:
        raise Unreadable(source, "is nested too deeply", remedy) from None
    return found


@functools.lru_cache(maxsize=64)
def _adapter(model: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(model)


def _first_fault(error: ValidationError) -> str:
    """Return the key that is wrong, what it holds and what it should hold."""
    fault = error.errors(include_url=False, include_context=False)[0]
    key = ".".join(str(part)[:_SHOWN] for part in fault["loc"])
    message = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if fault["type"] == "missing":
        return f"it has no {key!r}"
    if fault["type"] == "value_error" and isinstance(fault["input"], dict):  # of a whole section; it names the value
        return f"{key}: {message}" if key else message
    found = f", found {shorten(fault['input'])}"
    return f"{key or 'the whole'}: {message[:1].lower()}{message[1:]}{found}"


def shorten(value: Any) -> str:
    """Return a value for a message, in at most 60 characters and without building a long text first."""
    if isinstance(value, str | bytes):
        value = value[: _SHOWN + 1]
    elif isinstance(value, dict):
        return f"an object with {len(value):,} keys"
    elif isinstance(value, list | tuple | set) and len(value) > 4:
        return f"a list of {len(value):,} values"
    elif isinstance(value, list | tuple):
        value = [one if isinstance(one, int | float | None) else str(one)[:_SHOWN] for one in value]
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer with thousands of digits
        return f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _is_small(tree: Any) -> bool:
    """Return whether a tree, in which values may occur more than once or within themselves, has few nodes."""
    pending, count = [tree], 0
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            pending += [*node.keys(), *node.values()]
        elif isinstance(node, list | tuple | set):
            pending += node
        count += 1
        if count > MAX_YAML_NODES or len(pending) > MAX_YAML_NODES:
            return False
    return True


def is_number(text: str) -> bool:
    """Return whether a text of others is a whole number that `int` reads: 1 to 18 digits.

    `str.isdecimal` is true for 5,000 digits too, which `int` refuses.
    """
    return text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS


def is_text(text: str) -> bool:
    """Return whether UTF-8 can hold a text: an escape in JSON or YAML may be half a surrogate pair."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _integer(text: str) -> int:
    if len(text) > 20 or abs(int(text)) > MAX_INTEGER:
        raise ValueError(f"the integer {text[:20]}… has more than 64 bits")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"the number {text[:20]} is too large")
    return value


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number in JSON")


def _reason(error: Exception) -> str:
    return os_error_reason(error) if isinstance(error, OSError) else str(error)
