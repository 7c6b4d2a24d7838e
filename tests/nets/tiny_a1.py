"""A net of two blocks with squeeze-excite and a skip, for tests that need no complete net."""

from __future__ import annotations

import dataclasses

from mnasnet_cli.nets.spec import NETS

TINY = dataclasses.replace(NETS["a1"], name="tiny", stages=(NETS["a1"].stages[0], NETS["a1"].stages[2]), head=64)
# Stem; two per block, three with an expansion (1 + 3 blocks); head.
NORMS = 1 + 2 + 3 * 3 + 1
