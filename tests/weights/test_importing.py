"""`mnasnet import`: what comes out of each kind of weights, and that whatever is wrong leaves nothing."""

from __future__ import annotations

import os
import pickle
import zipfile

import numpy as np
import pytest
from foreign import CLASSES, WIDTH, state_dict, write_safetensors, write_tensorflow

from mnasnet_cli.errors import CheckpointError, DataError, EnvironmentProblem
from mnasnet_cli.weights.class_lists import COCO, IMAGENET, known_classes
from mnasnet_cli.weights.importing import read_foreign
from mnasnet_cli.weights.name_maps import tpu_rules, tpu_tensors

needs_safetensors = pytest.mark.skipif("not __import__('importlib').util.find_spec('safetensors')")


def read(source, variant, width=WIDTH, **options):
    return read_foreign(str(source), variant, width, **options)


@pytest.fixture
def small(tmp_path):
    pytest.importorskip("safetensors")
    return write_safetensors(tmp_path / "small.safetensors", state_dict("timm", "small"))


def test_classes_that_are_known():
    synsets, _ = known_classes(IMAGENET)
    assert (len(synsets), synsets[0], synsets[-1]) == (1000, "n01440764", "n15075141")
    assert synsets == sorted(synsets)
    ids, names = known_classes(COCO)
    assert (len(ids), ids[11], names[11], ids[-1], names[-1]) == (80, "13", "stop sign", "90", "toothbrush")


@needs_safetensors
@pytest.mark.parametrize(
    ("kind", "variant", "width", "net", "data"),
    [
        ("torchvision", "b1", 0.35, {"batch_norm_decay": 0.9997}, {"crop_fraction": 0.875, "antialias": True}),
        ("torchvision", "b1", 0.75, {"padding": "symmetric"}, {"crop_fraction": 224 / 232, "antialias": True}),
        ("timm", "small", 0.35, {"first_skip": True, "batch_norm_epsilon": 1e-5}, {"interpolation": "bicubic"}),
        ("timm", "a1", 0.35, {"padding": "symmetric", "batch_norm_decay": 0.9}, {"mean": [123.675, 116.28, 103.53]}),
    ],
)
def test_what_belongs_to_a_state_dict(tmp_path, kind, variant, width, net, data):
    path = write_safetensors(tmp_path / "x.safetensors", state_dict(kind, variant, width))
    imported = read(path, variant, width)
    assert imported.kind.name == kind
    assert imported.info["net"].items() >= net.items()
    assert imported.info["preprocessing"].items() >= data.items()
    assert imported.info["labels"] == [str(number + 1) for number in range(CLASSES)]
    assert imported.info["source"]["batches_tracked"] == 1234
    assert ("first_skip" in imported.info["net"]) == (variant == "small")


def test_tpu_checkpoints_give_their_averages(tmp_path):
    tensors = {f"mnasnet-a1/{name}": value for name, value in state_dict("tpu", "a1").items()}
    averages = {f"{name}/ExponentialMovingAverage": value + 1 for name, value in tensors.items()}
    prefix = write_tensorflow(tmp_path / "model.ckpt", {**tensors, **averages})
    (kernel,) = [rule for rule in tpu_rules(*_small_spec("a1")) if rule.theirs == "mnas_stem/conv2d/kernel"]
    last = tpu_tensors(tensors)[kernel.theirs]
    averaged = read(prefix, "a1")
    np.testing.assert_array_equal(averaged.weights[kernel.ours], last + 1)
    assert averaged.info["source"]["averaged"]
    np.testing.assert_array_equal(read(prefix, "a1", ema=False).weights[kernel.ours], last)
    # Its preprocessing leaves 32 px out at any size.
    found = read(prefix, "a1", image_size=192).info
    assert found["preprocessing"]["crop_fraction"] == 192 / 224
    assert found["preprocessing"]["image_size"] == 192
    assert found["preprocessing"]["interpolation"] == "tf1-bilinear"
    assert read(tmp_path, "a1").weights.keys() == averaged.weights.keys()  # the folder means the same


def test_slim_checkpoints_lose_the_background(tmp_path):
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
    assert read(prefix, "b1-2019").info["labels"] == ["1", "2", "3", "4"]  # nothing says that one is no class
    labels.write_text("n1\nn2\n")
    with pytest.raises(DataError, match="names 2 classes, but the weights have 4 outputs"):
        read(prefix, "b1-2019", labels_file=labels)


@pytest.mark.parametrize(("kind", "norm"), [("object-detection", True), ("object-detection-mixed-slim", False)])
def test_detectors_keep_the_slots_of_their_categories(tmp_path, kind, norm):
    tensors = state_dict(kind, "b1-2019", classes=91)
    imported = read(write_tensorflow(tmp_path / "model.ckpt", tensors), "b1-2019")
    detection = imported.info["detection"]
    assert (detection["pyramid_norm"], detection["pyramid_activation"]) == (norm, "relu6" if norm else "relu")
    assert imported.info["labels"] == known_classes(COCO)[0]
    name = "WeightSharedConvolutionalBoxPredictor/ClassPredictor/weights"
    by_anchor, kept = tensors[name].reshape(3, 3, 256, 6, 91), imported.weights[name].reshape(3, 3, 256, 6, 80)
    np.testing.assert_array_equal(kept[..., 11], by_anchor[..., 13])  # the 12th category has the id 13
    assert imported.config.detection.spec.fpn_norm == norm


def test_first_version_of_torchvision_kept_its_stem(small, tmp_path):
    from mnasnet_cli.nets.spec import get_spec

    spec = get_spec("b1", 0.35, {"stem_scales": False, "unscaled_stages": 1})
    assert (spec.stem, spec.stages[0].channels, spec.stages[1].channels) == (32, 16, 8)
    from foreign import drawn, kind_of

    rules = kind_of("torchvision").rules(spec, CLASSES)
    tensors = drawn({rule.theirs: rule.their_shape for rule in rules})
    imported = read(write_safetensors(tmp_path / "v1.safetensors", tensors), "b1")
    assert imported.info["net"]["unscaled_stages"] == 1
    assert imported.config.model.spec.stem == 32
    assert "batches_tracked" not in imported.info["source"]


def _small_spec(variant):
    from mnasnet_cli.nets.spec import get_spec

    return get_spec(variant, WIDTH), CLASSES


def faulty(tensors, fault):
    some = "conv_stem.weight"
    if fault == "missing":
        del tensors["blocks.1.0.conv_dw.weight"]
    elif fault == "extra":
        tensors["blocks.9.0.bn1.num_batches_tracked"] = np.array(1)
        tensors["extra"] = np.ones(2, np.float32)
    elif fault == "infinite":
        tensors[some] = np.full_like(tensors[some], np.inf)
    return tensors


@pytest.mark.parametrize(
    ("fault", "arguments", "message"),
    [
        ("missing", ["--variant=small"], "1 tensors don't fit: blocks.1.0.conv_dw.weight: missing"),
        ("extra", ["--variant=small"], "blocks.9.0.bn1.num_batches_tracked: not in the net; extra: not in the net"),
        ("infinite", ["--variant=small"], "conv_stem.weight: numbers that are not finite"),
        ("", ["--variant=a1"], "but not a1 at width 0.35; it fits --variant small --width 0.35"),
        ("", ["--variant=small", "--width=0.5"], "but not small at width 0.5; it fits --variant small --width 0.35"),
        ("", ["--variant=d1"], "which exists as a1 or b1 or small and not as d1"),
        ("", ["--variant=small", "--set=model.net.padding=left"], "model.net.padding"),
    ],
)
def test_what_does_not_fit_is_one_line_and_leaves_nothing(small, mnasnet, tmp_path, fault, arguments, message):
    write_safetensors(small, faulty(state_dict("timm", "small"), fault))
    width = [] if "--width=0.5" in arguments else ["--width=0.35"]
    outcome = mnasnet("import", small, tmp_path / "out", *arguments, *width)
    assert outcome.code == 2, outcome.err
    assert message in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.safetensors"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a checkpoint; expected a state dict"),
        (b"GIF89a and more", "is not a checkpoint"),
        (b"PK\x03\x04 not a zip", "is not a whole PyTorch file"),
        (b"\x10\x00\x00\x00\x00\x00\x00\x00{cut off, again}", "is not a whole safetensors file"),
    ],
)
def test_a_file_that_is_no_checkpoint(tmp_path, mnasnet, content, message):
    if b"PK" in content:
        pytest.importorskip("torch")
    if b"cut off" in content:
        pytest.importorskip("safetensors")
    (tmp_path / "x.bin").write_bytes(content)
    outcome = mnasnet("import", tmp_path / "x.bin", tmp_path / "out", "--variant=b1")
    assert (outcome.code, len(outcome.err.splitlines())) == (2, 1), outcome.err
    assert message in outcome.err
    assert not (tmp_path / "out").exists()


class Malicious:
    """Unpickled by Python's own pickle, this would make a folder."""

    def __reduce__(self):
        return os.mkdir, (os.environ["MNASNET_TEST_RAN"],)


@pytest.mark.parametrize("zipped", [True, False])
def test_no_code_of_a_pickle_is_run(tmp_path, mnasnet, monkeypatch, zipped):
    pytest.importorskip("torch")
    monkeypatch.setenv("MNASNET_TEST_RAN", str(tmp_path / "ran"))
    code, path = pickle.dumps({"conv_stem.weight": Malicious()}, protocol=2), tmp_path / "x.pth"
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x/data.pkl", code)
            archive.writestr("x/version", "3")
    else:
        path.write_bytes(code)
    outcome = mnasnet("import", path, tmp_path / "out", "--variant=b1")
    assert (outcome.code, len(outcome.err.splitlines())) == (2, 1), outcome.err
    assert "nothing of it was run" in outcome.err
    assert sorted(file.name for file in tmp_path.iterdir()) == ["x.pth"]


def test_a_checkpoint_cut_off(tmp_path):
    prefix = write_tensorflow(tmp_path / "model.ckpt", state_dict("slim", "b1-2019"))
    (data,) = tmp_path.glob("*.data-*")
    data.write_bytes(data.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="is not a whole TensorFlow checkpoint"):
        read(prefix, "b1-2019")


def test_a_package_that_is_missing_is_named(small, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "safetensors", None)
    with pytest.raises(EnvironmentProblem, match="pip install 'safetensors>="):
        read(small, "small")
