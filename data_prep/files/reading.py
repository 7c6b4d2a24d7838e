"""Reads whole files of a source: from a folder or a zip, only as large as they can be, and never a pipe or a device."""

from __future__ import annotations

import contextlib
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, Any

from data_prep.files.tree import Tree
from mnasnet_cli.errors import DataError, os_error_reason
from mnasnet_cli.system.documents import parse_json

MAX_TEXT_BYTES = 1 << 29
"""Of a file that is read whole. COCO's largest, 450 MB, is read in parts, and no other format has files as large."""


@contextlib.contextmanager
def opened(tree: Tree, name: str) -> Iterator[IO[bytes]]:
    """Open a file of a source for the time of a block. Raises DataError, also for what goes wrong within the block."""
    try:
        with tree.open(name) as file:
            yield file
    except OSError as error:
        raise DataError(f"cannot read {tree.show(name)}: {os_error_reason(error)}") from error
    # A zip that was changed raises any of these.
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"cannot read {tree.show(name)}: the zip is damaged") from error


def read_bytes(tree: Tree, name: str, limit: int | None = None) -> bytes:
    """Return the content of a file, or its first `limit` bytes. Raises DataError."""
    if limit is not None:
        with opened(tree, name) as file:
            return file.read(limit)
    found = tree.find(name)
    if found is not None and found.size > MAX_TEXT_BYTES:
        raise _too_large(tree, name, found.size)
    with opened(tree, name) as file:
        data = file.read(MAX_TEXT_BYTES + 1)
    if len(data) > MAX_TEXT_BYTES:
        raise _too_large(tree, name, len(data))
    return data


def _too_large(tree: Tree, name: str, size: int) -> DataError:
    limit = f"at most {MAX_TEXT_BYTES / 1e6:,.0f} MB"
    return DataError(f"{tree.show(name)} has {size / 1e6:,.0f} MB, expected {limit}; split it, or leave it out")


def read_text(tree: Tree, name: str) -> str:
    """Return the content of a text file: UTF-8 or UTF-16 if it is marked so, else bytes that are not UTF-8 as they are.

    Raises DataError.
    """
    data = read_bytes(tree, name)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8-sig", "surrogateescape")


def read_json(tree: Tree, name: str) -> Any:
    """Return the content of a JSON file. Raises DataError with the line that is damaged."""
    return parse_json(read_text(tree, name), tree.show(name), foreign=True)
