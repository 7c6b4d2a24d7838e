"""Paths in files that others may have written: they must lead to a file below the folder, on any file system."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator

MAX_NAME_BYTES, MAX_PATH_BYTES = 255, 1024  # Linux's and macOS's, of a name and of a path


def check_relative_path(path: str) -> str:
    """Return a path below a folder, as it is. Raises ValueError if there can't be such a file, or not below it."""
    try:
        encoded = path.encode()
    except UnicodeEncodeError:
        raise ValueError("contains half a surrogate pair, which is no letter") from None
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts:
        raise ValueError("must be a path below the folder")
    if b"\0" in encoded or len(encoded) > MAX_PATH_BYTES or any(len(part.encode()) > MAX_NAME_BYTES for part in parts):
        raise ValueError("is a path that no file can have")
    return path


RelativePath = Annotated[str, AfterValidator(check_relative_path)]
"""A path that `check_relative_path` accepts, in the type of a stored document."""
