"""Paths without characters of patterns: TensorFlow looks for `run[1]/ckpt-5` among the files that match it."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from mnasnet_cli.system.files import temporary_folder

_OPEN_FILES = Path("/proc/self/fd")
# Characters of patterns, and bytes that are not UTF-8, which Python keeps as surrogates.
_NOT_PLAIN = re.compile(r"[*?\[\]{}\\\ud800-\udfff]")


@contextlib.contextmanager
def plain_folder(folder: Path) -> Iterator[Path]:
    """Yield a path of an existing folder that holds no character of a pattern; `folder` itself if it holds none."""
    if not _NOT_PLAIN.search(str(folder)) or not _OPEN_FILES.is_dir():
        yield folder
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    plain = _OPEN_FILES / str(descriptor)
    try:
        with _real_names(str(plain), str(folder)):
            yield plain
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def plain_prefix(prefix: str) -> Iterator[str]:
    """Yield a prefix of the same checkpoint that holds no character of a pattern; for reading."""
    folder, name = Path(os.path.dirname(prefix) or "."), os.path.basename(prefix)
    if not _NOT_PLAIN.search(prefix) or not folder.is_dir():
        yield prefix
    elif not _NOT_PLAIN.search(name):
        with plain_folder(folder) as plain:
            yield str(plain / name)
    else:
        with temporary_folder() as links, plain_folder(links) as plain:
            for file in folder.iterdir():
                if file.name.startswith(f"{name}."):
                    (links / f"checkpoint{file.name.removeprefix(name)}").symlink_to(file.absolute())
            with _real_names(str(plain / "checkpoint"), prefix):
                yield str(plain / "checkpoint")


@contextlib.contextmanager
def _real_names(plain: str, real: str) -> Iterator[None]:
    """Let an error from the block name the path that the user knows."""
    own = re.compile(rf"{re.escape(plain)}(?!\d)")
    try:
        yield
    except Exception as error:
        error.args = tuple(own.sub(lambda _: real, text) if isinstance(text, str) else text for text in error.args)
        for name in ("_message", "filename"):  # of TensorFlow's errors, and of OSError
            if isinstance(text := getattr(error, name, None), str):
                setattr(error, name, own.sub(lambda _: real, text))
        raise
