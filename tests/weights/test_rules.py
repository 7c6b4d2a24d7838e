"""Axis orders by hand, and the description of mismatches."""

from __future__ import annotations

import numpy as np

from mnasnet_cli.weights.rules import (
    Rule,
    describe_mismatches,
    find_mismatches,
    to_our_weights,
    to_their_tensors,
)


def test_axes_by_hand():
    kernel = np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2)  # out, in, height, width
    ours = Rule("ours", "theirs", (2, 2, 3, 2), "torch").to_ours(kernel)
    assert ours[1, 0, 2, 1] == kernel[1, 2, 1, 0]
    dense = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert Rule("ours", "theirs", (1, 1, 3, 2), "torch-dense").to_ours(dense)[0, 0, 2, 1] == dense[1, 2]
    assert Rule("ours", "theirs", (1, 1, 2, 3), "dense").to_ours(dense)[0, 0, 1, 2] == dense[1, 2]
    depthwise = np.arange(18, dtype=np.float32).reshape(2, 1, 3, 3)
    ours = Rule("ours", "theirs", (3, 3, 2, 1), "torch-depthwise").to_ours(depthwise)
    assert ours[0, 2, 1, 0] == depthwise[1, 0, 0, 2]


def test_weights_are_renamed_and_become_float32():
    rules = [Rule("a", "x", (2,)), Rule("b", "y", (1, 1, 2, 3), "torch-dense")]
    tensors = {"x": np.array([1, 2], np.float64), "y": np.arange(6, dtype=np.float16).reshape(3, 2)}
    weights = to_our_weights(rules, tensors)
    assert {name: (value.shape, value.dtype.name) for name, value in weights.items()} == {
        "a": ((2,), "float32"),
        "b": ((1, 1, 2, 3), "float32"),
    }
    back = to_their_tensors(rules, weights)
    assert back.keys() == tensors.keys()
    np.testing.assert_array_equal(back["y"], tensors["y"])


def test_every_mismatch_is_listed():
    rules = [Rule(f"o{part}", f"bn1.{part}", (2,)) for part in ("a", "b", "c", "d", "e", "f")]
    good = np.ones(2, np.float32)
    tensors = {"bn1.a": np.ones(3, np.float32), "bn1.b": np.ones(3, np.float32), "bn1.d": np.array([1, 2])}
    tensors |= {"bn1.e": np.array([1, np.nan], np.float32), "bn1.f": good, "extra": good}
    mismatches = find_mismatches(rules, tensors)
    assert [name for name, _ in mismatches] == ["bn1.c", "extra", "bn1.a", "bn1.b", "bn1.d", "bn1.e"]
    parts = describe_mismatches(mismatches).split("; ")
    assert [part.partition(":")[0] for part in parts] == ["bn1.c", "extra", "bn1.{a,b}", "bn1.d", "bn1.e"]
    assert "[3]" in parts[2]
    assert "[2]" in parts[2]
    assert "int64" in parts[3]
    assert not find_mismatches(rules[-1:], {"bn1.f": good})
