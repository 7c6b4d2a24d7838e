"""Formats are detected from tensor names; names and shapes are those of the other libraries."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from weight_files import CLASSES, WIDTH, format_named, state_dict

from mnasnet_cli.errors import CheckpointError
from mnasnet_cli.weights.formats import FORMATS, detect_format
from mnasnet_cli.weights.rules import to_our_weights, to_their_tensors

CASES = [
    ("torchvision", "b1"),
    ("timm", "a1"),
    ("timm", "b1"),
    ("timm", "small"),
    ("timm", "mobilenet-v2"),
    ("torchvision-mobilenet-v2", "mobilenet-v2"),
    ("tpu", "a1"),
    ("slim", "b1-2019"),
    ("slim", "d1"),
]


def test_names_and_shapes_are_those_of_the_other_libraries(repo):
    """The digests come from torchvision 0.29, timm 1.0.31 and the TPU code under TensorFlow 1.15."""
    for name, known in json.loads((repo / "tests/golden/foreign_names.json").read_text()).items():
        weight_format = format_named(known["kind"])
        _, spec = weight_format.candidate_nets(known["variant"], known["width"])[0]
        lines = sorted(f"{rule.theirs} {list(rule.their_shape)}" for rule in weight_format.rules(spec, 1000))
        assert len(lines) == known["tensors"], name
        assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == known["sha256"], name


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_conversion_to_our_weights_and_back_is_bit_identical(name, variant):
    tensors = state_dict(name, variant)
    weight_format = detect_format("a test", tensors)
    assert weight_format.name == name
    _, spec = weight_format.candidate_nets(variant, WIDTH)[0]
    rules = weight_format.rules(spec, CLASSES)
    weights = to_our_weights(rules, tensors)
    assert {rule.ours: rule.shape for rule in rules} == {name: value.shape for name, value in weights.items()}
    back = to_their_tensors(rules, weights)
    assert all(value.tobytes() == tensors[name].tobytes() for name, value in back.items())


@pytest.mark.parametrize("name", ["object-detection", "object-detection-mixed-slim"])
def test_detectors_are_told_apart(name):
    assert detect_format("a test", state_dict(name, "b1-2019", classes=3)).name == name


def test_unknown_tensors_are_listed():
    with pytest.raises(CheckpointError, match=r"net\.pth holds 2 tensors \(a, b …\).*torchvision"):
        detect_format("net.pth", {"b": np.zeros(1), "a": np.zeros(1)})


def test_candidate_nets_have_the_settings_of_their_variant():
    [(settings, spec)] = format_named("timm").candidate_nets("small", 1.0)
    assert settings["first_skip"]
    assert spec.stages[0].skip
    assert [("first_skip" in settings) for settings, _ in format_named("timm").candidate_nets("a1", 1.0)] == [False]
    assert len(format_named("torchvision").candidate_nets("b1", 0.5)) == 2


def test_format_names_are_unique():
    assert len({weight_format.name for weight_format in FORMATS}) == len(FORMATS)
