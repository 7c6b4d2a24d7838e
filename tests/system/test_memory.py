"""The allocator keeps freed memory where it can, and another C library is no error."""

from __future__ import annotations

import ctypes
import platform
from types import SimpleNamespace

import pytest

from mnasnet_cli.system.memory import keep_freed_memory


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_glibc_keeps_freed_memory() -> None:
    assert keep_freed_memory()


def test_a_library_without_mallopt_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    assert not keep_freed_memory()
