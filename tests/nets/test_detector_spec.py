"""The tables of detectors against builds of the Object Detection API and against hand-made sums."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest
from tiny_net import TINY

from mnasnet_cli.nets.detector_spec import (
    API_RETINANET,
    API_RETINANET_MIXED_SLIM,
    DETECTORS,
    LITE,
    RETINANET,
    DetectorSpec,
    count_anchors,
    get_detector,
    level_sizes,
    pyramid_taps,
)
from mnasnet_cli.nets.detector_table import (
    detector_multiply_adds,
    detector_parameters,
    detector_variable_shapes,
    head_convolutions,
    pyramid_convolutions,
)
from mnasnet_cli.nets.spec import NETS, get_spec, variable_shapes

# Trainable parameters that model_builder.build gives under TensorFlow 1.15 for the 2019 port's feature extractors and
# its pipeline config (90 classes), with the port's slim the API's own or, as published, tf.contrib.slim.
BUILT_BY_THE_API = {
    ("b1-2019", API_RETINANET): 12_525_274,
    ("b1-2019", API_RETINANET_MIXED_SLIM): 12_524_250,
    ("a1-2019", API_RETINANET): 11_822_328,
    ("a1-2019", API_RETINANET_MIXED_SLIM): 11_821_304,
}


@pytest.mark.parametrize(("build", "parameters"), BUILT_BY_THE_API.items(), ids=str)
def test_parameters_of_the_api(build, parameters):
    name, detector = build
    assert detector_parameters(NETS[name], detector, 90) == parameters


@pytest.mark.parametrize(("key", "detector"), [("one_slim", API_RETINANET), ("mixed_slim", API_RETINANET_MIXED_SLIM)])
def test_variables_of_the_api(repo, key, detector):
    golden = json.loads((repo / "tests" / "golden" / "object_detection_api.json").read_text())[key]
    ours = detector_variable_shapes(NETS["b1-2019"], detector, 90)
    backbone = variable_shapes(NETS["b1-2019"], 0, scope="FeatureExtractor/Mnasnet")
    assert {name: list(shape) for name, shape in ours.items() if name not in backbone} == golden
    assert backbone.items() <= ours.items()  # its 1280-channel layer, too


def test_the_unused_output():
    # 3·3·256 inputs and a bias for the one slot of 6 anchors.
    assert detector_parameters(NETS["b1-2019"], RETINANET, 90) == 12_525_274 - 6 * (3 * 3 * 256 + 1)
    assert RETINANET.class_outputs(90) == 90
    assert API_RETINANET.class_outputs(90) == 91


def test_sizes_and_anchors():
    assert list(level_sizes(RETINANET).values()) == [80, 40, 20, 10, 5]
    assert count_anchors(RETINANET) == 51_150 == 6 * (6400 + 1600 + 400 + 100 + 25)
    assert list(level_sizes(LITE).values()) == [40, 20, 10, 5, 3]
    assert count_anchors(LITE) == 12_804 == 6 * (1600 + 400 + 100 + 25 + 9)
    assert list(level_sizes(LITE, 300).values()) == [38, 19, 10, 5, 3]


def test_taps():
    assert pyramid_taps(NETS["b1"], RETINANET) == {3: "layer_8", 4: "layer_13", 5: "layer_18"}
    assert pyramid_taps(NETS["b1-2019"], RETINANET) == {3: "layer_8", 4: "layer_13", 5: "layer_19"}
    assert pyramid_taps(NETS["a1"], dataclasses.replace(RETINANET, min_level=2))[2] == "layer_4"
    assert pyramid_taps(TINY, dataclasses.replace(RETINANET, min_level=2)) == {2: "layer_3"}
    with pytest.raises(ValueError, match="tiny has no features at stride 8"):
        pyramid_taps(TINY, RETINANET)


SMALL = DetectorSpec(name="small", channels=4, depth=1, min_level=2, max_level=3, anchors=2)


def test_counts_by_hand():
    # TINY at 16 px: 4² positions at level 2, which has 16 channels, and 2² at level 3; 5 classes.
    # FPN: projection 16·4 + 4; P3: 9·4·4 + 8. Towers: 2 of 9·4·4 and 2 levels of 8.
    # Predictors: 9·4·(2·4) + 8 and 9·4·(2·5) + 10.
    added = (68 + 152) + 2 * (144 + 16) + (296 + 370)
    backbone = detector_parameters(TINY, dataclasses.replace(SMALL, depth=0), 5) - (68 + 152) - (296 + 370)
    assert detector_parameters(TINY, SMALL, 5) == backbone + added
    convs = [*pyramid_convolutions(TINY, SMALL, 16), *head_convolutions(SMALL, 5, 16)]
    assert [conv.weights * conv.positions for conv in convs] == [
        64 * 16,  # projection
        144 * 4,  # level 3
        144 * 20,  # both towers, on both levels
        144 * 20,
        288 * 20,  # boxes
        360 * 20,  # classes
    ]
    separable = dataclasses.replace(SMALL, separable=True, kernel=5, shared_tower=True)
    convs = [*pyramid_convolutions(TINY, separable, 16), *head_convolutions(separable, 5, 16)]
    # Depthwise 9·4 or 25·4, then 4·4, or 4·(2·4) and 4·(2·5).
    assert [conv.weights for conv in convs] == [64, 36 + 16, 100 + 16, 100 + 32, 100 + 40]


def test_multiply_adds():
    # The backbone of b1 at 320 px is 1/7² of its 2² larger picture; heads of 256 channels are twenty times that.
    backbone = detector_multiply_adds(NETS["b1"], dataclasses.replace(LITE, channels=1, depth=0), 1)
    assert 590e6 < backbone < 620e6
    assert detector_multiply_adds(NETS["b1"], LITE, 1) == pytest.approx(756e6, rel=0.01)
    assert detector_multiply_adds(NETS["b1"], RETINANET, 90) == pytest.approx(58.6e9, rel=0.01)
    assert detector_multiply_adds(NETS["b1"], LITE, 1, 640) > 3.9 * detector_multiply_adds(NETS["b1"], LITE, 1)


def test_the_backbone_ends_at_its_last_tap():
    shapes = detector_variable_shapes(NETS["b1"], RETINANET, 1)
    assert "FeatureExtractor/Mnasnet/mb_conv_15/project/weights" in shapes
    assert not any("/Conv_1/" in name for name in shapes)
    short = dataclasses.replace(RETINANET, max_level=4)
    shapes = detector_variable_shapes(NETS["b1-2019"], short, 1)
    assert "FeatureExtractor/Mnasnet/mb_conv_10/project/weights" in shapes
    assert not any("/mb_conv_11/" in name or "/Conv_1/" in name for name in shapes)


@pytest.mark.parametrize("detector", DETECTORS.values(), ids=lambda spec: spec.name)
@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("width", [0.35, 1.4])
def test_any_width(name, width, detector):
    backbone = get_spec(name, width)
    shapes = detector_variable_shapes(backbone, detector, 3)
    trained = sum(
        shape[0] * shape[1] * shape[2] * shape[3] if len(shape) == 4 else shape[0]
        for variable, shape in shapes.items()
        if not variable.endswith(("moving_mean", "moving_variance"))
    )
    assert trained == detector_parameters(backbone, detector, 3)
    assert detector_multiply_adds(backbone, detector, 3, 64) > 0


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"channels": "256"}, TypeError),
        ({"chanels": 256}, TypeError),
        ({"separable": 1}, TypeError),
        ({"channels": 0}, ValueError),
        ({"depth": -1}, ValueError),
        ({"kernel": 4}, ValueError),
        ({"kernel": 1, "separable": True}, ValueError),
        ({"activation": "gelu"}, ValueError),
        ({"fpn_activation": "gelu"}, ValueError),
        ({"min_level": 8}, ValueError),
        ({"prior": 1.0}, ValueError),
        ({"stddev": -0.1}, ValueError),
    ],
)
def test_bad_specs(change, error):
    with pytest.raises(error):
        DetectorSpec(**{"name": "x", **change})


def test_unknown_family_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'lite'"):
        get_detector("light")
    assert get_detector("retinanet") is RETINANET


def test_tables_need_no_tensorflow():
    code = "import sys, mnasnet_cli.nets.detector_table; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
