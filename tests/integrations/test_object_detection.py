"""Feature extractors and pipeline configs for the Object Detection API."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType, SimpleNamespace

import pytest
import tensorflow as tf

from mnasnet_cli.config import recipes
from mnasnet_cli.nets.slim_compat import slim, tf1

CONFIGS = [f"ssd_mnasnet_{net}_fpn_shared_box_predictor_640x640_coco17.config" for net in ("a1", "b1")]


def test_pipeline_configs_differ_only_in_the_net():
    a1, b1 = ((recipes.configs_dir() / "object_detection" / name).read_text() for name in CONFIGS)
    a1, b1 = ([line for line in text.splitlines() if not line.startswith("#")] for text in (a1, b1))
    assert [(ours, other) for ours, other in zip(a1, b1, strict=True) if ours != other] == [
        ('      type: "ssd_mnasnet_a1_fpn"', '      type: "ssd_mnasnet_b1_fpn"')
    ]
    text = "\n".join(b1)
    assert text.count('"PATH_TO_BE_CONFIGURED/') == 5
    assert text.count("/") == 5
    for line in ("num_classes: 90", "height: 640", "width: 640", "scales_per_octave: 2"):
        assert line in text


@pytest.fixture
def api(monkeypatch):
    """A stand-in for the parts of the Object Detection API that the extractors call."""

    class SSDFeatureExtractor:
        def __init__(self, is_training, depth_multiplier, min_depth, pad_to_multiple, conv_hyperparams_fn, **others):
            self._depth_multiplier, self._min_depth, self._pad_to_multiple = (
                depth_multiplier,
                min_depth,
                pad_to_multiple,
            )
            self._conv_hyperparams_fn = conv_hyperparams_fn
            for name, value in others.items():
                setattr(self, f"_{name}", value)

    def top_down(features, depth, **_):
        return {f"top_down_{layer}": net[..., :depth] for layer, net in features}

    modules = {
        "meta_architectures.ssd_meta_arch": {"SSDFeatureExtractor": SSDFeatureExtractor},
        "models.feature_map_generators": {"fpn_top_down_feature_maps": top_down},
        "utils.ops": {"pad_to_multiple": lambda images, multiple: images},
        "utils.shape_utils": {"check_min_image_dim": lambda least, images: images},
        "builders.model_builder": {"SSD_FEATURE_EXTRACTOR_CLASS_MAP": {}},
    }
    monkeypatch.setitem(sys.modules, "object_detection", ModuleType("object_detection"))
    for name, content in modules.items():
        parent, _, leaf = f"object_detection.{name}".rpartition(".")
        if parent not in sys.modules:
            monkeypatch.setitem(sys.modules, parent, ModuleType(parent))
        module = ModuleType(f"{parent}.{leaf}")
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(sys.modules[parent], leaf, module, raising=False)
    monkeypatch.delitem(sys.modules, "mnasnet_cli.integrations.object_detection", raising=False)
    yield importlib.import_module("mnasnet_cli.integrations.object_detection")
    sys.modules.pop("mnasnet_cli.integrations.object_detection", None)


def test_feature_extractors_are_registered(api):
    names = api.register()
    assert api.register() == names
    assert sys.modules["object_detection.builders.model_builder"].SSD_FEATURE_EXTRACTOR_CLASS_MAP == (
        api.FEATURE_EXTRACTORS
    )
    assert api.FEATURE_EXTRACTORS["ssd_mnasnet_a1_fpn"] is api.SSDMNASNetA1FpnFeatureExtractor
    assert api.FEATURE_EXTRACTORS["ssd_mnasnet_b1_fpn"] is api.SSDMNASNetB1FpnFeatureExtractor
    assert {name: extractor.spec.name for name, extractor in api.FEATURE_EXTRACTORS.items()} == {
        "ssd_mnasnet_a1_fpn": "a1-2019",
        "ssd_mnasnet_b1_fpn": "b1-2019",
        "ssd_mnasnet_a1_paper_fpn": "a1",
        "ssd_mnasnet_b1_paper_fpn": "b1",
        "ssd_mnasnet_small_fpn": "small",
        "ssd_mnasnet_d1_fpn": "d1",
        "ssd_mnasnet_mobilenet_v2_fpn": "mobilenet-v2",
    }


def test_tensorflow_2_is_refused(api):
    with pytest.raises(RuntimeError, match=r"TensorFlow 2\..*Keras.*TensorFlow 1\.15"):
        api.register(SimpleNamespace(SSD_KERAS_FEATURE_EXTRACTOR_CLASS_MAP={}))


def test_without_the_api():
    with pytest.raises(ImportError, match=r"slim/ to PYTHONPATH"):
        importlib.import_module("mnasnet_cli.integrations.object_detection")


def extractor(api, name, width=1.0, **others):
    def hyperparameters():
        with slim.arg_scope([slim.conv2d], activation_fn=None) as scope:
            return scope

    return api.FEATURE_EXTRACTORS[name](True, width, 16, 1, hyperparameters, additional_layer_depth=24, **others)


# slim's convolution in the API's pyramid calls a deprecated method of TensorFlow 2.
@pytest.mark.filterwarnings("ignore:.*layer.apply:UserWarning")
@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("ssd_mnasnet_a1_fpn", ["layer_7", "layer_13", "layer_18"]),  # layer_18 has the 1280 channels
        pytest.param("ssd_mnasnet_b1_fpn", ["layer_8", "layer_13", "layer_19"], marks=pytest.mark.variation),
        ("ssd_mnasnet_b1_paper_fpn", ["layer_8", "layer_13", "layer_18"]),
    ],
)
def test_pyramid(api, monkeypatch, name, layers):
    generators = sys.modules["object_detection.models.feature_map_generators"]
    seen, top_down = [], generators.fpn_top_down_feature_maps
    monkeypatch.setattr(
        generators,
        "fpn_top_down_feature_maps",
        lambda features, depth, **given: seen.append((features, depth, given)) or top_down(features, depth, **given),
    )
    with tf.Graph().as_default():
        levels = extractor(api, name).extract_features(tf1.placeholder(tf.float32, [2, 128, 128, 3]))
        names = {variable.op.name for variable in tf1.global_variables()}
    [(features, depth, given)] = seen
    assert depth == 24
    assert [layer for layer, _ in features] == layers
    assert given == {"use_depthwise": False, "use_explicit_padding": False, "use_native_resize_op": False}
    assert [level.shape[1] for level in levels] == [16, 8, 4, 2, 1]
    assert {"Mnasnet/Conv/weights", "Mnasnet/fpn/bottom_up_Conv2d_20/weights"} <= names
    assert ("Mnasnet/Conv_1/weights" in names) == ("paper" not in name)


def test_levels_and_width(api):
    half = extractor(api, "ssd_mnasnet_b1_fpn", 0.5, fpn_min_level=2, fpn_max_level=4)
    with tf.Graph().as_default():
        levels = half.extract_features(tf1.placeholder(tf.float32, [1, 64, 64, 3]))
        shapes = {variable.op.name: variable.shape.as_list() for variable in tf1.global_variables()}
    assert [level.shape[1] for level in levels] == [16, 8, 4]
    assert shapes["Mnasnet/sep_conv/project/weights"] == [1, 1, 16, 16]  # 8 at half width, but 16 is min_depth
    assert not [name for name in shapes if "bottom_up" in name]
    with pytest.raises(ValueError, match="6 and 7"):
        extractor(api, "ssd_mnasnet_b1_fpn", fpn_min_level=6)


def test_pixels_become_minus_one_to_one(api):
    pixels = tf.constant([0.0, 127.5, 255.0])
    assert extractor(api, "ssd_mnasnet_a1_fpn").preprocess(pixels).numpy() == pytest.approx([-1, 0, 1])
