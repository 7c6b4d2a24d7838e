"""SIGTERM and Ctrl-C as requests to stop."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from mnasnet_cli.errors import Stopped, StoppedByUser
from mnasnet_cli.training.signals import StopRequest


@pytest.fixture(autouse=True)
def foreground() -> Iterator[None]:
    """Python's own handler of SIGINT, which background jobs of a shell do not have."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("number", "kind"), [(signal.SIGTERM, Stopped), (signal.SIGINT, StoppedByUser)])
def test_a_signal_is_a_request(number: int, kind: type[Stopped]) -> None:
    before = signal.getsignal(number)
    with StopRequest() as stop:
        assert not stop.requested
        os.kill(os.getpid(), number)
        assert stop.requested
        error = stop.error("saved step 7")
    assert type(error) is kind
    assert "saved step 7" in str(error)
    assert signal.getsignal(number) is before


def test_a_second_ctrl_c_ends_the_process() -> None:
    with StopRequest():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
