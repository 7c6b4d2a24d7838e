"""Ways to damage a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

HUGE = 10**5000 - 1


def _truncate(path: Path, rng: Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: rng.randrange(len(data))] if data else b"")


def _zero_page(path: Path, rng: Random) -> None:
    data = bytearray(path.read_bytes())
    start = rng.randrange(max(1, len(data)))
    end = min(len(data), start + 4096)
    data[start:end] = bytes(end - start)
    path.write_bytes(data)


def _flip_bits(path: Path, rng: Random) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(8 if data else 0):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def _folder(path: Path, rng: Random) -> None:
    path.unlink()
    path.mkdir()


def _append(path: Path, rng: Random) -> None:
    with path.open("ab") as file:
        file.write(rng.randbytes(200))


BYTES: dict[str, Callable[[Path, Random], None]] = {
    "truncated": _truncate,
    "a zero page": _zero_page,
    "flipped bits": _flip_bits,
    "empty": lambda path, rng: path.write_bytes(b"") and None,
    "a folder": _folder,
    "bytes behind": _append,
    "missing": lambda path, rng: path.unlink(),
    "random bytes": lambda path, rng: path.write_bytes(rng.randbytes(500)) and None,
}

WRONG: list[Any] = [
    None, True, -1, 0, 1e308, float("inf"), float("nan"), HUGE, "", "a\x1b[31mb\x00", "\ud800", [], {}, [[]], {"": {}},
    "x" * 100_000, [1, "a"],
]  # fmt: skip


def _places(tree: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Return each (container, key) of a tree."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        found.append((tree, key))
        _places(value, found)
    return found


def _dump(tree: Any, path: Path) -> None:
    import sys

    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        path.write_text(json.dumps(tree), encoding="utf-8")
    finally:
        sys.set_int_max_str_digits(limit)


def _swap_value(path: Path, rng: Random) -> None:
    text = path.read_text(encoding="utf-8")
    lines = path.suffix == ".jsonl"
    number = rng.randrange(len(text.splitlines())) if lines else 0
    tree = [json.loads(text.splitlines()[number] if lines else text)]
    container, key = rng.choice(_places(tree, []))
    container[key] = rng.choice(WRONG)
    if not lines:
        return _dump(tree[0], path)
    kept = text.splitlines()
    _dump(tree[0], path)
    kept[number] = path.read_text()
    path.write_text("\n".join(kept) + "\n")
    return None


def _drop_key(path: Path, rng: Random) -> None:
    tree = [json.loads(path.read_text(encoding="utf-8"))]
    container, key = rng.choice(_places(tree, []))
    if container is tree:
        tree[0] = {}
    else:
        del container[key]
    _dump(tree[0], path)


JSON: dict[str, Callable[[Path, Random], None]] = {
    "another type": _swap_value,
    "deep nesting": lambda path, rng: path.write_text("[" * 100_000 + "]" * 100_000) and None,
    "not UTF-8": lambda path, rng: path.write_bytes(b'{"name": "\xff\xfe\xed"}') and None,
    "a bare number": lambda path, rng: path.write_text("7") and None,
    "a missing key": _drop_key,
}


def _many_aliases(path: Path, rng: Random) -> None:
    lines = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 8)}]")
    path.write_text("\n".join(lines))


def _other_yaml(path: Path, rng: Random) -> None:
    path.write_text(rng.choice(["[1, 2]", "7", "model: 3", "data: [1]", "model: {variant: 5}"]))


YAML: dict[str, Callable[[Path, Random], None]] = {
    "deep nesting": lambda path, rng: path.write_text("[" * 20_000 + "]" * 20_000) and None,
    "many aliases": _many_aliases,
    "not UTF-8": lambda path, rng: path.write_bytes(b"task: \xff\xfe") and None,
    "another type": _other_yaml,
}

TEXT: dict[str, Callable[[Path, Random], None]] = {
    "not UTF-8": lambda path, rng: path.write_bytes(b"\xff\xfea\nb\n") and None,
    "control characters": lambda path, rng: path.write_bytes(b"\x1b[31mred\x07\x00\n" * 4) and None,
    "one long line": lambda path, rng: path.write_text("x" * 2_000_000) and None,
}


def ways_of(path: str) -> dict[str, Callable[[Path, Random], None]]:
    """Return the ways to damage a file of this name."""
    ways = dict(BYTES)
    if path.endswith(".json"):
        ways |= JSON
        for number in range(2, 6):
            ways[f"another type {number}"] = _swap_value
    elif path.endswith(".jsonl"):
        ways |= {"another type": _swap_value, "not UTF-8": JSON["not UTF-8"], "deep nesting": JSON["deep nesting"]}
    elif path.endswith(".yaml"):
        ways |= YAML
    elif path.endswith((".txt", "/checkpoint", ".csv")):
        ways |= TEXT
    return ways
