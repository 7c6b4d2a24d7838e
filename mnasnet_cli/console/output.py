"""Results on standard output: JSON and text."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from typing import Any

from mnasnet_cli.console.messages import visible


def emit_json(obj: Mapping[str, Any]) -> None:
    """Write one JSON object to standard output. NaN and infinities become null."""
    emit_text(to_json(obj) + "\n")


def to_json(obj: Mapping[str, Any]) -> str:
    """Return one JSON object as text. NaN and infinities become null."""
    return json.dumps(_to_json_value(obj), allow_nan=False)


def emit_text(text: str) -> None:
    """Write text to standard output, such as CSV. Control characters are shown, but line ends and tabs stay."""
    sys.stdout.write(visible(text, keep="\r\n\t"))
    sys.stdout.flush()


def _to_json_value(value: Any) -> Any:
    """Return a value as one that JSON supports; NumPy values become numbers and lists."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _to_json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_to_json_value(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy scalars and arrays, without importing NumPy
        return _to_json_value(value.tolist())
    return str(value)
