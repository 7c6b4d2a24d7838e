"""The tables against published counts, and the rules that scale them."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from mnasnet_cli.nets.architecture import round_channels
from mnasnet_cli.nets.spec import (
    NETS,
    PUBLISHED,
    Dialect,
    NetSpec,
    StageSpec,
    block_specs,
    convolutions,
    count_parameters,
    feature_taps,
    get_spec,
    layer_names,
    multiply_adds,
    scale,
)

PARAMETERS = {
    "a1": 3_887_038,
    "b1": 4_383_312,
    "small": 2_030_264,
    "d1": 3_638_404,
    "a1-2019": 4_321_702,
    "b1-2019": 5_028_744,
    "mobilenet-v2": 3_504_872,
}


@pytest.mark.parametrize(("name", "expected"), PARAMETERS.items())
def test_parameters(name, expected):
    assert count_parameters(NETS[name], 1000) == expected


# tensorflow/tpu's README gives millions of parameters per width of a1: 6.1, 2.9, 2.1, 1.7.
@pytest.mark.parametrize(("width", "millions"), [(1.4, 6.1), (0.75, 2.9), (0.5, 2.1), (0.35, 1.7)])
def test_parameters_of_the_published_widths(width, millions):
    assert count_parameters(get_spec("a1", width)) / 1e6 == pytest.approx(millions, abs=0.05)


# The parameters are those of torchvision's and timm's nets, the multiply-adds those of slim's README.
@pytest.mark.parametrize(
    ("width", "parameters", "millions", "head"),
    [(0.35, 1_677_128, 59, 1280), (0.5, 1_968_680, 97, 1280), (1.0, 3_504_872, 300, 1280), (1.4, 6_108_776, 582, 1792)],
)
def test_the_published_widths_of_mobilenet_v2(width, parameters, millions, head):
    spec = get_spec("mobilenet-v2", width)
    assert (count_parameters(spec), int(multiply_adds(spec, 224) / 1e6), spec.head) == (parameters, millions, head)


@pytest.mark.parametrize(("name", "millions"), [("a1", 315), ("b1", 315), ("small", 68)])
def test_multiply_adds(name, millions):
    assert multiply_adds(NETS[name], 224) / 1e6 == pytest.approx(millions, rel=0.01)


def test_multiply_adds_by_hand():
    # Stem 3·3·3·8 at 4², depthwise 3·3·8 and project 8·16 at 4², head 16·32 at 4², logits 32·10.
    stage = StageSpec(repeats=1, kernel=3, stride=1, expand=1, channels=16)
    spec = NetSpec(name="tiny", stem=8, stages=(stage,), head=32)
    assert multiply_adds(spec, 8, num_classes=10) == 16 * (216 + 72 + 128 + 512) + 320
    # Squeeze-excite reads 8 channels and keeps 8 · 0.5: 8·4 + 4·8, and a product for each of 8·4² elements.
    squeezed = dataclasses.replace(spec, stages=(dataclasses.replace(stage, squeeze=0.5),))
    assert multiply_adds(squeezed, 8, num_classes=10) == multiply_adds(spec, 8, 10) + 64 + 128


@pytest.mark.parametrize(
    ("channels", "rounded"),
    # 5.6 -> 8; 8.4 -> 8; 11.2 -> 8 would lose 29 % -> 16; 83 -> 80 loses 4 %; 22.4 -> 24; 0.1 -> the least, 8
    [(5.6, 8), (8.4, 8), (11.2, 16), (83, 80), (84, 88), (22.4, 24), (0.1, 8), (1280, 1280)],
)
def test_round_channels(channels, rounded):
    assert round_channels(channels) == rounded


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("width", [0.01, 0.35, 0.5, 0.75, 1.3, 1.4, 2.0, 7.77])
def test_any_width(name, width):
    spec, scaled = NETS[name], get_spec(name, width)
    assert scaled.width == width
    for before, after in zip(
        [spec.stem, *(s.channels for s in spec.stages)],
        [scaled.stem, *(s.channels for s in scaled.stages)],
        strict=True,
    ):
        assert after % 8 == 0
        assert after >= 0.9 * before * width
    assert scaled.head >= 1280


def test_head_and_stem_follow_the_dialect():
    assert get_spec("b1", 1.4).head == 1280
    assert get_spec("b1-2019", 1.4).head == 1792
    assert get_spec("b1-2019", 0.5).head == 1280
    assert get_spec("b1", 0.5).stem == 16
    fixed_stem = dataclasses.replace(NETS["b1"], dialect=Dialect(stem_scales=False))
    assert scale(fixed_stem, 0.5).stem == 32


@pytest.mark.parametrize("width", [0, -1, float("nan"), float("inf"), "1"])
def test_invalid_widths(width):
    with pytest.raises(ValueError, match="positive number"):
        get_spec("b1", width)


def test_scaling_twice_is_refused():
    with pytest.raises(ValueError, match="already"):
        scale(get_spec("b1", 0.5), 0.5)


def test_unknown_net_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'a1-2019'"):
        get_spec("a1-2018")


ROW = {"repeats": 1, "kernel": 3, "stride": 1, "expand": 1, "channels": 16}


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"kernal": 3}, TypeError),
        ({"kernel": "3"}, TypeError),
        ({"channels": 16.0}, TypeError),
        ({"skip": 1}, TypeError),
        ({"repeats": True}, TypeError),
        ({"kernel": 4}, ValueError),
        ({"stride": 3}, ValueError),
        ({"repeats": 0}, ValueError),
        ({"squeeze": 4}, ValueError),
    ],
)
def test_bad_rows(change, error):
    with pytest.raises(error):
        StageSpec(**{**ROW, **change})


def test_bad_dialects_and_nets():
    with pytest.raises(ValueError, match="padding"):
        Dialect(padding="valid")
    with pytest.raises(TypeError, match="batch_norm_epsilon"):
        Dialect(batch_norm_epsilon="0.001")
    with pytest.raises(TypeError, match="dialect"):
        NetSpec(name="x", stem=8, stages=(StageSpec(**ROW),), dialect="paper")
    with pytest.raises(dataclasses.FrozenInstanceError):
        NETS["b1"].stem = 8


TAPS = {
    "a1": {2: "layer_2", 4: "layer_4", 8: "layer_7", 16: "layer_13", 32: "layer_17"},
    "b1": {2: "layer_2", 4: "layer_5", 8: "layer_8", 16: "layer_13", 32: "layer_18"},
    "small": {2: "layer_2", 4: "layer_3", 8: "layer_5", 16: "layer_12", 32: "layer_16"},
    "d1": {2: "layer_2", 4: "layer_5", 8: "layer_10", 16: "layer_19", 32: "layer_23"},
    # The port's detector reads the 1280-channel layer.
    "a1-2019": {2: "layer_2", 4: "layer_4", 8: "layer_7", 16: "layer_13", 32: "layer_18"},
    "b1-2019": {2: "layer_2", 4: "layer_5", 8: "layer_8", 16: "layer_13", 32: "layer_19"},
    "mobilenet-v2": {2: "layer_2", 4: "layer_4", 8: "layer_7", 16: "layer_14", 32: "layer_18"},
}


@pytest.mark.parametrize(("name", "taps"), TAPS.items())
def test_feature_taps(name, taps):
    assert feature_taps(NETS[name]) == taps


def test_blocks_of_b1():
    blocks = block_specs(NETS["b1"], 224)
    assert len(blocks) == 17 == len(layer_names(NETS["b1"])) - 2
    first, second = blocks[0], blocks[1]
    assert (first.scope, first.has_expansion, first.has_skip, first.out_size) == ("sep_conv", False, False, 112)
    assert (second.scope, second.expanded_channels, second.in_size, second.out_size) == ("mb_conv", 48, 112, 56)
    assert blocks[-1].scope == "mb_conv_15"
    assert [block.out_size for block in blocks if block.stride == 2] == [56, 28, 14, 7]
    # Skips: 2 of 3, 2 of 3, 2 of 3, 1 of 2, 3 of 4.
    assert sum(block.has_skip for block in blocks) == 10


def test_dialects_expand_and_squeeze_differently():
    # The first squeezed block of a1 takes 24 channels to 40 with ratio 3.
    ours = block_specs(NETS["a1"])[3]
    theirs = block_specs(NETS["a1-2019"])[3]
    assert (ours.in_channels, ours.out_channels) == (theirs.in_channels, theirs.out_channels) == (24, 40)
    assert (ours.expanded_channels, ours.squeeze_channels) == (72, 6)  # 24·3, 24/4
    assert (theirs.expanded_channels, theirs.squeeze_channels) == (120, 10)  # 40·3, 40/4


def test_odd_sizes_round_up():
    assert [conv.size for conv in convolutions(NETS["b1"], 0, 65)][-1] == 3


def test_published_rows_are_of_known_nets():
    for row in PUBLISHED:
        assert row.net in NETS
        assert 0.5 < row.top1 < (row.top5 or 1) <= 1
        assert row.source


def test_tables_need_no_tensorflow():
    code = "import sys, mnasnet_cli.nets.spec; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
