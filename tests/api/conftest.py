"""The command line beside the Python interface, whose name here is `mnasnet`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def mnasnet_command(mnasnet: Callable[..., Any]) -> Callable[..., Any]:
    """Run `mnasnet ARGS…` in this process."""
    return mnasnet
