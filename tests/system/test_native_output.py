"""Output of native code is redirected or suppressed, and appears again afterwards."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings

import pytest

from mnasnet_cli.system.native_output import STDERR, STDOUT, redirect, suppress_output


def test_output_is_suppressed_within_the_block(capfd):
    with suppress_output():
        os.write(STDOUT, b"noise\n")
        os.write(STDERR, b"noise\n")
        warnings.warn("noise", stacklevel=1)
        logging.getLogger("tensorflow").error("noise")
    os.write(STDERR, b"heard\n")
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "heard\n")


def test_an_error_ends_the_redirection(capfd, tmp_path):
    level = logging.getLogger("absl").level
    with pytest.raises(KeyError), suppress_output():
        raise KeyError
    assert logging.getLogger("absl").level == level
    with (tmp_path / "file").open("wb") as file, contextlib.suppress(KeyError), redirect(file, STDERR):
        os.write(STDERR, b"to the file\n")
        os.write(STDOUT, b"heard\n")
        raise KeyError
    os.write(STDERR, b"heard\n")
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("heard\n", "heard\n")
    assert (tmp_path / "file").read_text() == "to the file\n"
