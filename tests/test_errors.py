"""Helpers for error messages, and the exit codes of errors."""

from __future__ import annotations

import errno
import pickle

import pytest

from mnasnet_cli import errors
from mnasnet_cli.system.documents import Missing, Unreadable


@pytest.mark.parametrize(
    ("word", "expected"),
    [("b2", "; did you mean 'b1'?"), ("SMAL", "; did you mean 'small'?"), ("xyz", "")],
)
def test_nearest(word, expected):
    assert errors.nearest(word, ["a1", "b1", "small"]) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("  one\ntwo"), "one"),
        (ValueError(""), "ValueError"),
        (ValueError("{{node IteratorGetNext}} 2 root error(s) found"), "2 root error(s) found"),
    ],
)
def test_first_line(error, expected):
    assert errors.first_line(error) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "x", "file"), "no space left on device"),
        (OSError(0, "the zip has no file at this position"), "the zip has no file at this position"),
        (OSError("some reason"), "some reason"),
    ],
)
def test_os_error_reason(error, expected):
    assert errors.os_error_reason(error) == expected


def test_exit_codes():
    codes = {
        kind.__name__: kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.MnasnetError)
    }
    assert codes == {
        "MnasnetError": 2, "DataError": 2, "ConfigError": 2, "CheckpointError": 2, "EnvironmentProblem": 2,
        "CheckFailed": 3, "Stopped": 143, "StoppedByUser": 130,
    }  # fmt: skip


def test_a_long_word_of_others_is_cut() -> None:
    message = str(errors.DataError(f"the class {'n' * 100_000} is not known"))
    assert message.startswith("the class nnn")
    assert message.endswith("nnn is not known")
    assert len(message) < 1000
    path = "/data/" + "long/" * 150
    assert path in str(errors.DataError(f"{path} is missing"))


@pytest.mark.parametrize(
    "error",
    [errors.DataError("no records"), Unreadable("a.json", "is no JSON", "write it again"), Missing("b", "is gone")],
)
def test_an_error_of_a_worker_process_reaches_its_parent(error):
    sent = pickle.loads(pickle.dumps(error))
    assert type(sent) is type(error)
    assert str(sent) == str(error)
    assert vars(sent) == vars(error)
