"""Commands in messages, as one would type them: a path with blanks or brackets is quoted."""

from __future__ import annotations

import shlex


def words(*values: object) -> str:
    """Return words as a shell reads them."""
    return shlex.join(map(str, values))


def command(*values: object) -> str:
    """Return a command of this program with these words."""
    return words("mnasnet", *values)
