"""Names and shapes against those that were read from the others' own nets; faults; the way there and back."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from foreign import kind_of, state_dict

from mnasnet_cli.weights.formats import find_kind
from mnasnet_cli.weights.name_maps import tpu_tensors
from mnasnet_cli.weights.rules import Rule, describe_faults, find_faults, give, take

CASES = [
    ("torchvision", "b1"),
    ("timm", "a1"),
    ("timm", "b1"),
    ("timm", "small"),
    ("tpu", "a1"),
    ("slim", "b1-2019"),
    ("slim", "d1"),
]


def test_names_and_shapes_are_those_of_the_others(repo):
    """Written by those libraries themselves: torchvision 0.29, timm 1.0.31 and the TPU code under TensorFlow 1.15."""
    for name, known in json.loads((repo / "tests/golden/foreign_names.json").read_text()).items():
        kind = kind_of(known["kind"])
        _, spec = kind.specs(known["variant"], known["width"])[0]
        lines = sorted(f"{rule.theirs} {list(rule.their_shape)}" for rule in kind.rules(spec, 1000))
        assert len(lines) == known["tensors"], name
        assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == known["sha256"], name


@pytest.mark.parametrize(("kind", "variant"), CASES)
def test_there_and_back_changes_no_bit(kind, variant):
    tensors = state_dict(kind, variant)
    assert find_kind("a test", tensors).name == kind
    _, spec = kind_of(kind).specs(variant, 0.35)[0]
    rules = kind_of(kind).rules(spec, 6)
    weights = take(rules, tensors)
    assert {rule.ours: rule.shape for rule in rules} == {name: value.shape for name, value in weights.items()}
    back = give(rules, weights)
    assert all(value.tobytes() == tensors[name].tobytes() for name, value in back.items())


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


def test_every_fault_is_found_and_all_are_named():
    rules = [Rule(f"o{part}", f"bn1.{part}", (2,)) for part in ("a", "b", "c", "d", "e", "f")]
    good = np.ones(2, np.float32)
    tensors = {"bn1.a": np.ones(3, np.float32), "bn1.b": np.ones(3, np.float32), "bn1.d": np.array([1, 2])}
    tensors |= {"bn1.e": np.array([1, np.nan], np.float32), "bn1.f": good, "extra": good}
    assert describe_faults(find_faults(rules, tensors)) == (
        "bn1.c: missing; extra: not in the net; bn1.{a,b}: shape [3] instead of [2]; "
        "bn1.d: int64 instead of floating point numbers; bn1.e: numbers that are not finite"
    )


def test_tpu_names_of_any_tensorflow_become_the_same():
    """TensorFlow 1.12 counts Keras' layers within a scope, 1.15 through the program and below the model's name."""
    stored = [
        ("net/mnas_blocks_3/conv2d/kernel", "net/mnas_net_model/mnas_blocks_3/conv2d_9/kernel"),
        ("net/mnas_blocks_3/conv2d_1/kernel", "net/mnas_net_model/mnas_blocks_3/conv2d_12/kernel"),
        ("net/mnas_blocks_3/se/conv2d/bias", "net/mnas_net_model/mnas_blocks_3/se/conv2d_10/bias"),
        ("net/mnas_blocks_3/se/conv2d_1/bias", "net/mnas_net_model/mnas_blocks_3/se/conv2d_11/bias"),
        (
            "net/mnas_blocks_3/tpu_batch_normalization_1/gamma",
            "net/mnas_blocks_3/batch_normalization_1/gamma",
        ),
        ("net/mnas_blocks_3/tpu_batch_normalization/gamma", "net/mnas_blocks_3/batch_normalization/gamma"),
    ]
    older, newer = (
        tpu_tensors({names[place]: np.array(number) for number, names in enumerate(stored)}) for place in (0, 1)
    )
    assert older == newer
    assert older["mnas_blocks_3/conv2d_1/kernel"] == 1
    assert older["mnas_blocks_3/se/conv2d/bias"] == 2
