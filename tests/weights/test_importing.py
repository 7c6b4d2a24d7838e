"""Imported weights of each format, and tensors that do not fit."""

from __future__ import annotations

import json

import numpy as np
import pytest
from weight_files import (
    CLASSES,
    WIDTH,
    format_named,
    random_tensors,
    state_dict,
    write_safetensors,
    write_tensorflow,
)

from mnasnet_cli.checkpoints.reader import read_checkpoint
from mnasnet_cli.config.net_table import NetTable
from mnasnet_cli.errors import CheckpointError, ConfigError, DataError
from mnasnet_cli.nets.spec import get_spec
from mnasnet_cli.weights.class_lists import COCO, builtin_classes
from mnasnet_cli.weights.importing import import_weights, write_checkpoint

needs_safetensors = pytest.mark.skipif("not __import__('importlib').util.find_spec('safetensors')")


def read(source, variant, width=WIDTH, **options):
    return import_weights(str(source), variant, width, **options)


@pytest.fixture
def small(tmp_path):
    pytest.importorskip("safetensors")
    return write_safetensors(tmp_path / "small.safetensors", state_dict("timm", "small"))


@needs_safetensors
@pytest.mark.parametrize(
    ("name", "variant", "width", "net", "data"),
    [
        ("torchvision", "b1", 0.35, {"batch_norm_decay": 0.9997}, {"crop_fraction": 0.875, "antialias": True}),
        ("torchvision", "b1", 0.75, {"padding": "symmetric"}, {"crop_fraction": 224 / 232, "antialias": True}),
        ("timm", "small", 0.35, {"first_skip": True, "batch_norm_epsilon": 1e-5}, {"interpolation": "bicubic"}),
        ("timm", "a1", 0.35, {"padding": "symmetric", "batch_norm_decay": 0.9}, {"mean": [123.675, 116.28, 103.53]}),
    ],
)
def test_net_settings_and_preprocessing_of_state_dicts(tmp_path, name, variant, width, net, data):
    path = write_safetensors(tmp_path / "x.safetensors", state_dict(name, variant, width))
    imported = read(path, variant, width)
    assert imported.format.name == name
    assert imported.info["net"].items() >= net.items()
    assert imported.info["preprocessing"].items() >= data.items()
    assert imported.info["labels"] == [str(number + 1) for number in range(CLASSES)]
    assert imported.info["source"]["batches_tracked"] == 1234
    assert ("first_skip" in imported.info["net"]) == (variant == "small")


def test_averages_of_tpu_checkpoints(tmp_path):
    tensors = {f"mnasnet-a1/{name}": value for name, value in state_dict("tpu", "a1").items()}
    averages = {f"{name}/ExponentialMovingAverage": value + 1 for name, value in tensors.items()}
    prefix = write_tensorflow(tmp_path / "model.ckpt", {**tensors, **averages})
    ours, last = "Mnasnet/Conv/weights", tensors["mnasnet-a1/mnas_stem/conv2d/kernel"]
    averaged = read(prefix, "a1")
    np.testing.assert_array_equal(averaged.weights[ours], last + 1)
    assert averaged.info["source"]["averaged"]
    np.testing.assert_array_equal(read(prefix, "a1", ema=False).weights[ours], last)
    # The TPU code crops all but 32 px at every size.
    found = read(prefix, "a1", image_size=192).info
    assert found["preprocessing"]["crop_fraction"] == 192 / 224
    assert found["preprocessing"]["image_size"] == 192
    assert found["preprocessing"]["interpolation"] == "tf1-bilinear"
    assert read(tmp_path, "a1").weights.keys() == averaged.weights.keys()  # a folder means its newest checkpoint


def test_the_background_of_slim_checkpoints_is_dropped(tmp_path):
    tensors = state_dict("slim", "b1-2019", classes=4)
    prefix = write_tensorflow(tmp_path / "model.ckpt", tensors)
    labels = tmp_path / "labels.txt"
    labels.write_text("n1\tone\nn2\ttwo\nn3\tthree\n")
    imported = read(f"{prefix}.index", "b1-2019", labels_file=labels)
    name = "Mnasnet/Conv2d_1c_1x1/biases"
    np.testing.assert_array_equal(imported.weights[name], tensors[name][1:])
    assert imported.info["names"] == ["one", "two", "three"]
    assert imported.info["source"]["kept_outputs"] == [1, 3]
    assert imported.info["preprocessing"]["stretch"]
    assert imported.info["preprocessing"]["mean"] == [127.5] * 3
    assert read(prefix, "b1-2019").info["labels"] == ["1", "2", "3", "4"]  # all are classes without a labels file
    labels.write_text("n1\nn2\n")
    with pytest.raises(DataError, match=r"2 classes.* 4 outputs"):
        read(prefix, "b1-2019", labels_file=labels)


@pytest.mark.parametrize(("name", "norm"), [("object-detection", True), ("object-detection-mixed-slim", False)])
def test_detectors_keep_the_outputs_of_their_categories(tmp_path, name, norm):
    tensors = state_dict(name, "b1-2019", classes=91)
    imported = read(write_tensorflow(tmp_path / "model.ckpt", tensors), "b1-2019")
    detection = imported.info["detection"]
    assert (detection["pyramid_norm"], detection["pyramid_activation"]) == (norm, "relu6" if norm else "relu")
    assert imported.info["labels"] == builtin_classes(COCO)[0]
    name = "WeightSharedConvolutionalBoxPredictor/ClassPredictor/weights"
    by_anchor, kept = tensors[name].reshape(3, 3, 256, 6, 91), imported.weights[name].reshape(3, 3, 256, 6, 80)
    np.testing.assert_array_equal(kept[..., 11], by_anchor[..., 13])  # the 12th category has the id 13
    assert imported.config.detection.spec.fpn_norm == norm


def test_a_net_of_ones_own_is_imported_where_names_and_shapes_fit(tmp_path):
    """timm's mobilenetv2_110d is such a net: other widths and repeats, and names by stage and repeat."""
    pytest.importorskip("safetensors")
    row = {"repeats": 1, "kernel": 3, "stride": 1, "expand": 1, "channels": 8}
    tree = {"name": "mine", "stem": 8, "stages": [row, {**row, "repeats": 2, "stride": 2, "expand": 3}], "head": 16}
    table = NetTable.model_validate(tree)
    _, spec = format_named("timm").candidate_nets(table.spec, 1.0)[0]
    tensors = random_tensors({rule.theirs: rule.their_shape for rule in format_named("timm").rules(spec, CLASSES)})
    imported = read(write_safetensors(tmp_path / "x.safetensors", tensors), "mine", table=table)
    assert imported.config.model.spec.dialect.padding == "symmetric"
    assert imported.info["table"] == table.model_dump(mode="json")
    other = NetTable.model_validate({**tree, "head": 24})
    with pytest.raises(CheckpointError, match=r"not mine \(\w{8}\) at width 0.35; \d+ tensors do not fit"):
        read(tmp_path / "x.safetensors", "mine", table=other)


def test_a_row_that_a_library_does_not_have_is_named(tmp_path):
    pytest.importorskip("safetensors")
    row = {"repeats": 2, "kernel": 3, "stride": 1, "expand": 1, "channels": 8}
    table = NetTable.model_validate({"name": "mine", "stem": 8, "stages": [row]})
    path = write_safetensors(tmp_path / "x.safetensors", state_dict("torchvision", "b1"))
    with pytest.raises(CheckpointError, match=r"not mine \(\w{8}\): .* no layer sep_conv_1/depthwise"):
        read(path, "mine", table=table)


@needs_safetensors
def test_version_1_of_torchvision_does_not_scale_the_stem(tmp_path):
    spec = get_spec("b1", 0.35, {"stem_scales": False, "unscaled_stages": 1})
    assert (spec.stem, spec.stages[0].channels, spec.stages[1].channels) == (32, 16, 8)
    rules = format_named("torchvision").rules(spec, CLASSES)
    tensors = random_tensors({rule.theirs: rule.their_shape for rule in rules})
    imported = read(write_safetensors(tmp_path / "v1.safetensors", tensors), "b1")
    assert imported.info["net"]["unscaled_stages"] == 1
    assert imported.config.model.spec.stem == 32
    assert "batches_tracked" not in imported.info["source"]


def test_settings_override_those_of_the_format(small):
    found = read(small, "small", assignments=["model.net.padding=same"], image_size=96).info
    assert found["net"]["padding"] == "same"
    assert found["preprocessing"]["image_size"] == 96
    with pytest.raises(ConfigError, match=r"model\.net\.padding"):
        read(small, "small", assignments=["model.net.padding=left"])


def with_fault(tensors, fault):
    if fault == "missing":
        del tensors["blocks.1.0.conv_dw.weight"]
    elif fault == "extra":
        tensors["blocks.9.0.bn1.num_batches_tracked"] = np.array(1)
        tensors["extra"] = np.ones(2, np.float32)
    else:
        tensors["conv_stem.weight"] = np.full_like(tensors["conv_stem.weight"], np.inf)
    return tensors


@pytest.mark.parametrize(
    ("fault", "facts"),
    [
        ("missing", ["1 tensors", "blocks.1.0.conv_dw.weight: "]),
        ("extra", ["2 tensors", "blocks.9.0.bn1.num_batches_tracked: ", "extra: "]),
        ("infinite", ["1 tensors", "conv_stem.weight: "]),
    ],
)
def test_tensors_that_do_not_fit_are_listed(small, fault, facts):
    write_safetensors(small, with_fault(state_dict("timm", "small"), fault))
    with pytest.raises(CheckpointError) as caught:
        read(small, "small")
    for fact in facts:
        assert fact in str(caught.value)


@pytest.mark.parametrize(
    ("variant", "width", "fact"), [("a1", 0.35, "a1 at width 0.35"), ("small", 0.5, "width 0.5"), ("d1", 0.35, "d1")]
)
def test_another_net_is_suggested(small, variant, width, fact):
    with pytest.raises(CheckpointError, match=rf"{fact}.*--variant small --width 0\.35"):
        read(small, variant, width)


def test_a_written_checkpoint_has_the_weights_and_their_source(small, tmp_path):
    imported = read(small, "small")
    prefix = write_checkpoint(imported, tmp_path / "new" / "model")
    contents = read_checkpoint(prefix)
    assert prefix == str(tmp_path / "new/model/checkpoints/ckpt-0")
    assert (contents.step, contents.averaged) == (0, False)
    assert contents.info == json.loads(json.dumps(imported.info))
    assert contents.weights.keys() == imported.weights.keys()
    assert all(contents.weights[name].tobytes() == value.tobytes() for name, value in imported.weights.items())
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["model"]


def test_only_an_empty_folder_is_written_into(small, tmp_path):
    imported = read(small, "small")
    (tmp_path / "out").mkdir()
    write_checkpoint(imported, tmp_path / "out")
    with pytest.raises(CheckpointError, match=str(tmp_path / "out")):
        write_checkpoint(imported, tmp_path / "out")
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=str(tmp_path / "file")):
        write_checkpoint(imported, tmp_path / "file")
