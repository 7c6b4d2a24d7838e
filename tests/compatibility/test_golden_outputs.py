"""Seeded nets give the numbers that they gave before: logits of every variant, boxes of both families of detectors."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import seeded_models

GOLDEN = json.loads(seeded_models.GOLDEN.read_text())


def cases(names: Iterable[str], fast: tuple[str, ...]) -> list[Any]:
    return [pytest.param(name, marks=() if name in fast else pytest.mark.variation) for name in names]


@pytest.mark.parametrize("variant", cases(seeded_models.VARIANTS, fast=("a1",)))
def test_logits(variant: str, tmp_path: Path) -> None:
    assert variant in GOLDEN, "a new net: run `python tests/compatibility/seeded_models.py`"
    found = seeded_models.outputs_of(seeded_models.write_classifier(tmp_path, variant))
    np.testing.assert_allclose(found["logits"], GOLDEN[variant]["logits"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", cases(seeded_models.DETECTORS, fast=("retinanet", "anchor-free")))
def test_boxes(family: str, tmp_path: Path) -> None:
    found = seeded_models.outputs_of(seeded_models.write_detector(tmp_path, family))
    expected = GOLDEN[family]
    assert found["classes"] == expected["classes"]
    np.testing.assert_allclose(found["scores"], expected["scores"], rtol=1e-4)
    np.testing.assert_allclose(found["boxes"], expected["boxes"], rtol=1e-4, atol=1e-4)
