"""The tiny nets are known in all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tiny_net import tiny_nets


@pytest.fixture(scope="module", autouse=True)
def _tiny_nets() -> Iterator[None]:
    with tiny_nets():
        yield
