"""Files of PyTorch, safetensors and TensorFlow. Tests that need torch are skipped without it; see `make test-torch`."""

from __future__ import annotations

import os
import pickle
import sys
import zipfile

import numpy as np
import pytest
from made_models import classifier_config, make_checkpoint
from weight_files import WIDTH, state_dict, write_safetensors, write_tensorflow

from mnasnet_cli.errors import CheckpointError, EnvironmentProblem
from mnasnet_cli.weights.importing import import_weights
from mnasnet_cli.weights.tensor_files import find_tensorflow_checkpoint, read_tensors

needs_torch = pytest.mark.skipif("not __import__('importlib').util.find_spec('torch')")


@pytest.fixture
def without_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)


def test_a_missing_torch_is_named(without_torch, tmp_path):
    (tmp_path / "net.pth").write_bytes(b"PK")
    with pytest.raises(EnvironmentProblem, match=r"net\.pth .*pip install 'torch>=.*\.safetensors"):
        read_tensors(str(tmp_path / "net.pth"))


def test_a_missing_safetensors_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    (tmp_path / "net.safetensors").touch()
    with pytest.raises(EnvironmentProblem, match=r"net\.safetensors .*pip install 'safetensors>="):
        read_tensors(str(tmp_path / "net.safetensors"))


def test_safetensors_are_found_by_content(tmp_path):
    pytest.importorskip("safetensors")
    tensors = {"half": np.array([1.5], np.float16), "count": np.array(3, np.int64)}
    found, averaged = read_tensors(str(write_safetensors(tmp_path / "net.bin", tensors)))
    assert not averaged
    assert {name: value.dtype.name for name, value in found.items()} == {"half": "float32", "count": "int64"}
    assert (found["half"].tolist(), found["count"].tolist()) == ([1.5], 3)


def test_tensorflow_checkpoints_without_their_training_state(tmp_path):
    tensors = {"net/weights": np.ones(2, np.float32)}
    averages = {"net/weights/ExponentialMovingAverage": np.zeros(2, np.float32)}
    prefix = write_tensorflow(tmp_path / "model.ckpt", {**tensors, **averages})
    for source in (prefix, f"{prefix}.index", f"{prefix}.data-00000-of-00001", tmp_path):
        found, averaged = read_tensors(str(source))
        assert ({name: value.tolist() for name, value in found.items()}, averaged) == ({"net/weights": [0, 0]}, True)
    found, averaged = read_tensors(str(prefix), ema=False)
    assert (found["net/weights"].tolist(), averaged) == ([1, 1], False)


def test_a_folder_with_several_checkpoints_has_none_without_a_state_file(tmp_path):
    for name in ("one", "two"):
        write_tensorflow(tmp_path / name, {"weights": np.ones(1, np.float32)})
    assert find_tensorflow_checkpoint(tmp_path) is None
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "two"\n')
    assert find_tensorflow_checkpoint(tmp_path) == str(tmp_path / "two")
    (tmp_path / "checkpoint").write_bytes(b"\xff\xfe")
    assert find_tensorflow_checkpoint(tmp_path) is None


def test_a_cut_tensorflow_checkpoint(tmp_path):
    prefix = write_tensorflow(tmp_path / "model.ckpt", state_dict("slim", "b1-2019"))
    (data,) = tmp_path.glob("*.data-*")
    data.write_bytes(data.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"model\.ckpt .*TensorFlow"):
        read_tensors(str(prefix))


def test_our_own_checkpoints_need_no_import(tiny_net, tmp_path):
    make_checkpoint(tmp_path, classifier_config(), ["a", "b"])
    with pytest.raises(CheckpointError, match="mnasnet"):
        read_tensors(str(tmp_path / "checkpoints"))


def test_paths_without_a_checkpoint(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(CheckpointError, match=str(path)):
            read_tensors(str(path))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "state dict"),
        (b"GIF89a and more", "state dict"),
        (b"PK\x03\x04 not a zip", "PyTorch"),
        (b"\x10\x00\x00\x00\x00\x00\x00\x00{cut off, again}", "safetensors"),
    ],
)
def test_files_that_are_not_checkpoints(tmp_path, content, expected):
    if b"PK" in content:
        pytest.importorskip("torch")
    if b"cut off" in content:
        pytest.importorskip("safetensors")
    (tmp_path / "x.bin").write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"x\.bin .*{expected}"):
        read_tensors(str(tmp_path / "x.bin"))


class Malicious:
    """Unpickling this with Python's pickle creates a folder."""

    def __reduce__(self):
        return os.mkdir, (os.environ["MNASNET_TEST_RAN"],)


@pytest.mark.parametrize("zipped", [True, False])
def test_no_code_of_a_pickle_is_run(tmp_path, monkeypatch, zipped):
    pytest.importorskip("torch")
    monkeypatch.setenv("MNASNET_TEST_RAN", str(tmp_path / "ran"))
    code, path = pickle.dumps({"conv_stem.weight": Malicious()}, protocol=2), tmp_path / "x.pth"
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x/data.pkl", code)
            archive.writestr("x/version", "3")
    else:
        path.write_bytes(code)
    with pytest.raises(CheckpointError, match=r"x\.pth"):
        read_tensors(str(path))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["x.pth"]


@needs_torch
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"epoch": 3, "state_dict": {f"module.{name}": value for name, value in state.items()}},
        lambda state: {"model": {f"_orig_mod.{name}": value for name, value in state.items()}},
    ],
)
def test_state_dicts_at_the_top_level_and_below(tmp_path, zipped, wrap):
    import torch

    state, path = state_dict("torchvision", "b1"), tmp_path / "net.pth"
    wrapped = wrap({name: torch.from_numpy(value) for name, value in state.items()})
    torch.save(wrapped, path, _use_new_zipfile_serialization=zipped)  # torchvision publishes the older format
    found, averaged = read_tensors(str(path))
    assert not averaged
    assert {name: value.tobytes() for name, value in found.items()} == {
        name: value.tobytes() for name, value in state.items()
    }
    assert import_weights(str(path), "b1", WIDTH).format.name == "torchvision"


@needs_torch
def test_averages_half_precision_and_views(tmp_path):
    import torch

    state = {name: torch.from_numpy(value) for name, value in state_dict("timm", "small").items()}
    averages = {name: (value + 1 if value.is_floating_point() else value).half() for name, value in state.items()}
    torch.save({"state_dict": state, "state_dict_ema": averages}, tmp_path / "net.pth")
    name = "conv_stem.weight"
    found, averaged = read_tensors(str(tmp_path / "net.pth"))
    assert (averaged, found[name].dtype) == (True, np.float32)
    np.testing.assert_array_equal(found[name], averages[name].float())
    last, averaged = read_tensors(str(tmp_path / "net.pth"), ema=False)
    assert not averaged
    np.testing.assert_array_equal(last[name], state[name])
    torch.save({"x": torch.arange(6.0, dtype=torch.bfloat16).reshape(2, 3).T}, tmp_path / "view.pth")
    np.testing.assert_array_equal(read_tensors(str(tmp_path / "view.pth"))[0]["x"], [[0, 3], [1, 4], [2, 5]])


@needs_torch
@pytest.mark.parametrize(
    ("content", "fact"),
    [({"conv_stem.weight": [1.0, 2.0]}, "'conv_stem.weight' is a list"), ([1, 2, 3], "state dict"), ({}, "state dict")],
)
def test_torch_files_without_a_state_dict(tmp_path, content, fact):
    import torch

    torch.save(content, tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match=rf"net\.pth .*{fact}"):
        read_tensors(str(tmp_path / "net.pth"))


@needs_torch
def test_a_cut_torch_file(tmp_path):
    import torch

    path = tmp_path / "net.pth"
    torch.save({name: torch.from_numpy(value) for name, value in state_dict("timm", "small").items()}, path)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(CheckpointError, match=r"net\.pth .*PyTorch"):
        read_tensors(str(path))
