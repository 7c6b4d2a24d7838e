"""Text of others on the terminal, and standard streams that are closed or full."""

from __future__ import annotations

import errno
import io
import json
import subprocess
import sys

import pytest

from mnasnet_cli import console

HOSTILE = "cat\x1b]0;title\x07\x1b[31m\x9b2J\u202egpj\udc80.\x7f"
SHOWN = r"cat\x1b]0;title\x07\x1b[31m\x9b2J\u202egpj\udc80.\x7f"


def test_control_characters_of_others_are_shown_and_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    console.say(HOSTILE)
    console.warn(HOSTILE)
    console.fail(HOSTILE)
    console.print_traceback(ValueError(HOSTILE))
    console.print_table(HOSTILE, [HOSTILE], [[HOSTILE]], caption=HOSTILE)
    console.emit_text(f"a\tb\r\n{HOSTILE}\n")
    console.emit_json({HOSTILE: HOSTILE})
    with console.progress(HOSTILE, 1) as bar:
        bar.update(1, loss=HOSTILE)
    captured = capsys.readouterr()
    assert captured.err.count(SHOWN) == 5
    assert captured.out.count(SHOWN) == 5
    assert "a\tb\r\n" in captured.out
    assert not set(captured.out + captured.err) & set("\x1b\x07\x9b\x7f\u202e\udc80")
    assert json.loads(captured.out.splitlines()[-1]) == {HOSTILE: HOSTILE}


class Full(io.StringIO):
    """A stream on a disk without space."""

    def write(self, text: str) -> int:
        """Fail."""
        raise OSError(errno.ENOSPC, text)


def test_messages_that_nobody_can_read_do_not_stop_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Full())
    console.say("one")
    with console.progress("two", 3) as bar:
        bar.update(3)


@pytest.mark.parametrize(
    ("redirection", "code"),
    [
        (">&-", 0),
        ("<&- >&- 2>&-", 0),
        (">/dev/full", 2),
        ("2>/dev/full", 0),
        pytest.param("2>&-", 0, marks=pytest.mark.variation),
    ],
)
def test_standard_streams_may_be_closed_or_full(redirection: str, code: int) -> None:
    command = f"exec {sys.executable} -m mnasnet_cli models {redirection}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
