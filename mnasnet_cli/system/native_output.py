"""Redirects and suppresses what native code writes to standard output and standard error."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from typing import IO

STDOUT, STDERR = 1, 2  # file descriptors
_NOISY_LOGGERS = ("tensorflow", "absl", "tf2onnx")


@contextlib.contextmanager
def redirect(file: IO[bytes], *descriptors: int) -> Iterator[None]:
    """Redirect file descriptors to an open file within the block.

    `contextlib.redirect_stdout` redirects Python's output only; native code writes to the descriptors.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    saved = {descriptor: os.dup(descriptor) for descriptor in descriptors}
    try:
        for descriptor in descriptors:
            os.dup2(file.fileno(), descriptor)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, copy in saved.items():
            os.dup2(copy, descriptor)
            os.close(copy)


@contextlib.contextmanager
def suppress_output() -> Iterator[None]:
    """Suppress log messages, warnings and everything written to standard output and standard error within the block.

    The output is lost, so errors must be exceptions. Progress cannot be shown within the block.
    """
    loggers = [logging.getLogger(name) for name in _NOISY_LOGGERS]
    levels = [logger.level for logger in loggers]
    with open(os.devnull, "wb") as null, redirect(null, STDOUT, STDERR), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
