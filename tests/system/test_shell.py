"""Commands in messages."""

from __future__ import annotations

from pathlib import Path

from mnasnet_cli.system.shell import command, words


def test_what_a_shell_would_read_otherwise_is_quoted() -> None:
    assert command("inspect", Path("my run[1]"), "--images", 4) == "mnasnet inspect 'my run[1]' --images 4"
    assert words("--init", "runs/b1", "$x") == "--init runs/b1 '$x'"
