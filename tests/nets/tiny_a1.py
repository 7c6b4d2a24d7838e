"""A net of three blocks, two of them with squeeze-excite and one with a skip, for tests that need no complete net."""

from __future__ import annotations

import dataclasses

from mnasnet_cli.nets.spec import NETS

FIRST, _, SQUEEZED, *_ = NETS["a1"].stages
TINY = dataclasses.replace(NETS["a1"], name="tiny", stages=(FIRST, dataclasses.replace(SQUEEZED, repeats=2)), head=64)
# Stem; two per block, three with an expansion (1 + 2 blocks); head.
NORMS = 1 + 2 + 3 * 2 + 1
