"""PyTorch's own files. What needs the package torch is skipped without it; `make test-torch` installs it first."""

from __future__ import annotations

import sys
import zipfile

import numpy as np
import pytest
from foreign import WIDTH, state_dict

from mnasnet_cli.errors import CheckpointError
from mnasnet_cli.weights.importing import read_foreign
from mnasnet_cli.weights.tensor_files import read_tensors

needs_torch = pytest.mark.skipif("not __import__('importlib').util.find_spec('torch')")


@pytest.fixture
def without_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)


def test_without_torch_the_error_says_what_to_install(without_torch, mnasnet, tmp_path):
    with zipfile.ZipFile(tmp_path / "net.pth", "w") as archive:
        archive.writestr("net/data.pkl", b"")
    outcome = mnasnet("import", tmp_path / "net.pth", tmp_path / "out", "--variant=b1")
    assert (outcome.code, len(outcome.err.splitlines())) == (2, 1), outcome.err
    assert "pip install 'torch>=" in outcome.err
    assert "or bring the weights as .safetensors" in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["net.pth"]


def test_without_torch_nothing_is_exported_for_torchvision(without_torch, mnasnet, tmp_path):
    pytest.importorskip("safetensors")
    from foreign import write_safetensors

    source = write_safetensors(tmp_path / "net.safetensors", state_dict("torchvision", "b1"))
    assert mnasnet("import", source, tmp_path / "model", "--variant=b1", f"--width={WIDTH}").code == 0
    outcome = mnasnet("export", tmp_path / "model", "--format=torchvision", "--out", tmp_path / "out")
    assert (outcome.code, len(outcome.err.splitlines())) == (2, 1), outcome.err
    assert "pip install 'torch>=" in outcome.err
    assert not list((tmp_path / "out").glob("*"))


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
def test_state_dicts_alone_and_beside_other_things(tmp_path, zipped, wrap):
    import torch

    state, path = state_dict("torchvision", "b1"), tmp_path / "net.pth"
    wrapped = wrap({name: torch.from_numpy(value) for name, value in state.items()})
    torch.save(wrapped, path, _use_new_zipfile_serialization=zipped)  # torchvision's own files are from before the zips
    found, averaged = read_tensors(str(path))
    assert not averaged
    assert {name: value.tobytes() for name, value in found.items()} == {
        name: value.tobytes() for name, value in state.items()
    }
    assert read_foreign(str(path), "b1", WIDTH).kind.name == "torchvision"


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
    ("content", "message"),
    [
        ({"conv_stem.weight": [1.0, 2.0]}, "'conv_stem.weight' is a list, not a tensor"),
        ([1, 2, 3], "holds no state dict"),
        ({}, "holds no state dict"),
    ],
)
def test_other_things_that_torch_saved(tmp_path, content, message):
    import torch

    torch.save(content, tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match=message):
        read_tensors(str(tmp_path / "net.pth"))


@needs_torch
def test_a_file_cut_off(tmp_path):
    import torch

    path = tmp_path / "net.pth"
    torch.save({name: torch.from_numpy(value) for name, value in state_dict("timm", "small").items()}, path)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(CheckpointError, match="is not a whole PyTorch file"):
        read_tensors(str(path))


@needs_torch
def test_export_for_torchvision_gives_back_the_same_bits(tmp_path, mnasnet):
    import torch

    state, path = state_dict("torchvision", "b1", 1.0), tmp_path / "net.pth"
    torch.save({name: torch.from_numpy(value) for name, value in state.items()}, path)
    assert mnasnet("import", path, tmp_path / "model", "--variant=b1").code == 0
    outcome = mnasnet("export", tmp_path / "model", "--format=torchvision", "--out", tmp_path / "out", "--json")
    assert outcome.code == 0, outcome.err
    (artifact,) = outcome.json["artifacts"]
    again = torch.load(artifact["path"], weights_only=True)
    assert again._metadata[""] == {"version": 2}  # without it, torchvision's net takes it for one of its first version
    assert again.keys() == state.keys()
    for name, value in state.items():
        assert torch.equal(again[name], torch.from_numpy(value)), name
