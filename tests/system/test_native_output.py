"""Native code is silenced, and heard again."""

from __future__ import annotations

import os

from mnasnet_cli.system.native_output import silenced


def test_silence_takes_native_output_and_gives_it_back(capfd):
    with silenced():
        os.write(1, b"chatter\n")
        os.write(2, b"chatter\n")
    os.write(2, b"heard\n")
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "heard\n")
