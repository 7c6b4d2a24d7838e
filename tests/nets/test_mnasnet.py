"""The conventions of slim's nets, for every net of the table."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tiny_a1 import TINY

from mnasnet_cli.nets import mnasnet
from mnasnet_cli.nets.slim_compat import tf1
from mnasnet_cli.nets.spec import (
    NETS,
    Dialect,
    block_specs,
    count_parameters,
    get_spec,
    layer_names,
    variable_shapes,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "variables.json").read_text())
FUNCTIONS = {name: getattr(mnasnet, "mnasnet_" + name.replace("-", "_")) for name in NETS}
# Four strides of 2, kernels of 3 and 5, squeeze-excite and skips.
MINI = dataclasses.replace(NETS["small"], name="mini", stages=NETS["small"].stages[:4], head=64)


def built() -> dict[str, list[int]]:
    return {variable.op.name: variable.shape.as_list() for variable in tf1.global_variables()}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in ("a1", "mobilenet-v2", "small") else pytest.mark.variation)
        for name in NETS
    ],
)
def test_variables_end_points_and_shapes(graph, name):
    spec = NETS[name]
    logits, end_points = FUNCTIONS[name](tf1.placeholder(tf.float32, [2, 224, 224, 3]))
    assert built() == GOLDEN[name]
    assert sum(np.prod(v.shape.as_list()) for v in tf1.trainable_variables()) == count_parameters(spec, 1001)
    assert list(end_points) == [*layer_names(spec), "global_pool", "Logits", "Predictions"]
    assert end_points["layer_1"].shape.as_list() == [2, 112, 112, spec.stem]
    for block in block_specs(spec, 224):
        assert end_points[block.layer].shape.as_list() == [2, block.out_size, block.out_size, block.out_channels]
    assert end_points[layer_names(spec)[-1]].shape.as_list() == [2, 7, 7, 1280]
    assert end_points["global_pool"].shape.as_list() == [2, 1, 1, 1280]
    assert logits is end_points["Logits"]
    assert logits.shape.as_list() == end_points["Predictions"].shape.as_list() == [2, 1001]


@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("small", 0.35),
        *(pytest.param(name, 0.35, marks=pytest.mark.variation) for name in NETS if name != "small"),
        *(pytest.param(name, 1.4, marks=pytest.mark.variation) for name in ("b1", "b1-2019")),
    ],
)
def test_counts_are_those_of_the_built_net(graph, name, width):
    spec = get_spec(name, width)
    mnasnet.mnasnet_base(tf1.placeholder(tf.float32, [1, None, None, 3]), spec, num_classes=10)
    assert built() == {name: list(shape) for name, shape in variable_shapes(spec, 10).items()}
    assert sum(np.prod(v.shape.as_list()) for v in tf1.trainable_variables()) == count_parameters(spec, 10)


@pytest.mark.parametrize("name", NETS)
def test_functions_for_the_factory(name):
    function = FUNCTIONS[name]
    assert function.default_image_size == 224
    for suffix, width in {"140": 1.4, "075": 0.75, "050": 0.5, "035": 0.35}.items():
        partial = getattr(mnasnet, f"{function.__name__}_{suffix}")
        assert partial.default_image_size == 224
        assert partial.__name__ == f"{function.__name__}_{suffix}"
        assert f"×{width}" in partial.__doc__


def test_width_partial(graph):
    mnasnet.mnasnet_b1_050(tf1.placeholder(tf.float32, [1, 64, 64, 3]), num_classes=5)
    assert built() == {name: list(shape) for name, shape in variable_shapes(get_spec("b1", 0.5), 5).items()}


def test_features(run, images):
    features, end_points = mnasnet.mnasnet_base(images, TINY, num_classes=None)
    assert features is end_points["global_pool"]
    assert features.shape.as_list() == [2, 1, 1, 64]
    assert "Logits" not in end_points
    everywhere, _ = mnasnet.mnasnet_base(images, TINY, num_classes=0, global_pool=False, reuse=True)
    pooled, kept = run([features, everywhere])
    assert kept.shape == (2, 17, 17, 64)
    np.testing.assert_allclose(kept.mean((1, 2)), pooled[:, 0, 0], rtol=1e-4, atol=1e-6)


def test_logits_everywhere(run, images):
    logits, end_points = mnasnet.mnasnet_base(images, TINY, num_classes=7, global_pool=False)
    pooled, _ = mnasnet.mnasnet_base(images, TINY, num_classes=7, reuse=True)
    maps, predictions, vector = run([logits, end_points["Predictions"], pooled])
    assert maps.shape == predictions.shape == (2, 17, 17, 7)
    np.testing.assert_allclose(predictions.sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(maps.mean((1, 2)), vector, rtol=1e-3, atol=1e-5)  # the mean is linear


def test_final_endpoint(graph, images):
    net, end_points = mnasnet.mnasnet_b1(images, final_endpoint="layer_8")
    assert net is end_points["layer_8"]
    assert list(end_points) == [f"layer_{number}" for number in range(1, 9)]
    assert not [name for name in built() if "mb_conv_6" in name or "Conv_1" in name]
    last, _ = mnasnet.mnasnet_base(images, TINY, final_endpoint="layer_5", scope="Tiny")
    assert last.shape.as_list() == [2, 17, 17, 64]
    first, _ = mnasnet.mnasnet_base(images, TINY, final_endpoint="layer_1", scope="Tiny", reuse=True)
    assert first.shape.as_list() == [2, 33, 33, 32]


def test_bad_arguments(graph, images):
    with pytest.raises(ValueError, match="layer_1 … layer_19 for b1, got 'layer_20'"):
        mnasnet.mnasnet_b1(images, final_endpoint="layer_20")
    with pytest.raises(ValueError, match="output_stride"):
        mnasnet.mnasnet_b1(images, output_stride=12)
    with pytest.raises(ValueError, match="rank 4"):
        mnasnet.mnasnet_b1(images[0])
    with pytest.raises(ValueError, match="positive"):
        mnasnet.mnasnet_b1(images, depth_multiplier=0)
    with pytest.raises(TypeError):
        mnasnet.mnasnet_b1(images, drop_path=0.1)


@pytest.mark.parametrize("padding", ["same", pytest.param("symmetric", marks=pytest.mark.variation)])
def test_output_stride_samples_the_same_function_more_densely(run, images, padding):
    # With odd sizes every other position of the dilated net is a position of the plain one.
    spec = dataclasses.replace(MINI, dialect=Dialect(padding=padding))
    plain, _ = mnasnet.mnasnet_base(images, spec, num_classes=None, global_pool=False)
    nets = [
        mnasnet.mnasnet_base(images, spec, num_classes=None, global_pool=False, reuse=True, output_stride=stride)[0]
        for stride in (8, 2)
    ]
    expected, *dense = run([plain, *nets])
    assert [net.shape[1] for net in dense] == [9, 33]
    for net, step in zip(dense, (2, 8), strict=True):
        np.testing.assert_allclose(net[:, ::step, ::step], expected, rtol=1e-3, atol=1e-4)


def test_explicit_padding(run, images):
    # Without a stride of 2 on an even size it equals SAME.
    same, _ = mnasnet.mnasnet_base(images, MINI)
    explicit, _ = mnasnet.mnasnet_base(images, MINI, use_explicit_padding=True, reuse=True)
    # Otherwise it samples one pixel earlier, like SAME on an image with one more row and column of zeros.
    even = images[:, :64, :64]
    longer = tf.pad(even, [[0, 0], [0, 1], [0, 1], [0, 0]])
    stem, _ = mnasnet.mnasnet_base(longer, MINI, final_endpoint="layer_1", reuse=True)
    _, points = mnasnet.mnasnet_base(even, MINI, use_explicit_padding=True, reuse=True)
    assert [points[layer].shape[1] for layer in ("layer_1", "layer_3", "layer_4", "layer_6")] == [32, 16, 8, 4]
    a, b, c, d = run([same, explicit, stem, points["layer_1"]])
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(c[:, :32, :32], d, rtol=1e-4, atol=1e-5)


def test_symmetric_dialect_is_explicit_padding(run, images):
    even = images[:, :64, :64]
    symmetric = dataclasses.replace(TINY, dialect=Dialect(padding="symmetric"))
    asked, _ = mnasnet.mnasnet_base(even, TINY, use_explicit_padding=True)
    given, _ = mnasnet.mnasnet_base(even, symmetric, reuse=True)
    same, _ = mnasnet.mnasnet_base(even, TINY, reuse=True)
    a, b, c = run([asked, given, same])
    np.testing.assert_array_equal(a, b)
    assert np.abs(a - c).max() > 1e-4


def test_reuse(graph, images):
    mnasnet.mnasnet_base(images, TINY)
    before = built()
    mnasnet.mnasnet_base(images, TINY, reuse=True)
    assert built() == before
    with pytest.raises(ValueError, match="already exists"):
        mnasnet.mnasnet_base(images, TINY)
    mnasnet.mnasnet_base(images, TINY, scope="Other", reuse=tf1.AUTO_REUSE)
    assert {name.split("/")[0] for name in built()} == {"Mnasnet", "Other"}


def test_prediction_fn(graph, images):
    _, end_points = mnasnet.mnasnet_base(images, TINY, prediction_fn=tf.nn.sigmoid)
    assert end_points["Predictions"].op.type == "Sigmoid"
    _, end_points = mnasnet.mnasnet_base(images, TINY, prediction_fn=None, reuse=True)
    assert "Predictions" not in end_points
