"""Small detectors of both families."""

from __future__ import annotations

import dataclasses

import pytest

from mnasnet_cli.nets.detector_spec import DetectorSpec

# Three levels on the one of tiny_net.TINY.
MINI = DetectorSpec(name="mini", channels=8, depth=1, min_level=2, max_level=4)
MINI_SEPARABLE = dataclasses.replace(MINI, name="mini-lite", separable=True, kernel=5, stddev=0.0)
MINIS = pytest.mark.parametrize("detector", [MINI, MINI_SEPARABLE], ids=lambda spec: spec.name)
