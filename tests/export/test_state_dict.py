"""`mnasnet import` and `export` through the commands: where weights go, and that they come back as they were."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from made_models import make_checkpoint
from weight_files import WIDTH, state_dict, write_safetensors

from mnasnet_cli.config.loading import load_config
from mnasnet_cli.weights.tensor_files import read_tensors

pytest.importorskip("safetensors")


@pytest.fixture
def small(tmp_path):
    return write_safetensors(tmp_path / "small.safetensors", state_dict("timm", "small"))


def test_an_imported_model_is_evaluated_and_exported_back(small, mnasnet, shape_records, tmp_path, monkeypatch):
    """Through the commands: import, eval on records, inspect, export to the same tensors."""
    tensors = state_dict("timm", "small", 1.0, classes=4)
    write_safetensors(small, tensors)
    model, labels = tmp_path / "model", shape_records / "labels.txt"
    options = ["--variant=small", f"--labels={labels}", "--image-size=32", "--json"]
    outcome = mnasnet("import", small, model, *options)
    assert outcome.code == 0, outcome.err
    assert outcome.json["kind"] == "timm"
    again = mnasnet("import", small, model, *options)
    assert (again.code, "exists already" in again.err) == (2, True)
    scores = mnasnet("eval", "--imagenet-val", model, f"--data={shape_records}", "--json")
    assert scores.code == 0, scores.err
    assert scores.json["examples"] == 20
    assert scores.json["image_size"] == 32
    exported = mnasnet("export", model, "--format=timm", "--json")
    assert exported.code == 0, exported.err
    (artifact,) = exported.json["artifacts"]
    assert artifact["code"].startswith("timm.create_model('mnasnet_small', num_classes=4")
    found, _ = read_tensors(artifact["path"])
    assert {name: value.tobytes() for name, value in found.items()} == {
        name: value.tobytes() for name, value in tensors.items()
    }
    refused = mnasnet("export", model, "--format=torchvision")
    assert (refused.code, "torchvision has b1 only" in refused.err) == (2, True)
    slim = mnasnet("export", model, "--format=slim-checkpoint", "--parity-images=1", "--json").json["artifacts"][0]
    for source in (artifact["path"], slim["path"]):
        back = mnasnet("import", source, tmp_path / f"back from {Path(source).name}", *options[:2], "--json")
        assert back.code == 0, back.err
        for key in ("net", "preprocessing"):
            assert back.json[key] == outcome.json[key]


def test_a_run_s_own_net_comes_back_from_its_state_dict(mnasnet, tmp_path):
    """Padding and epsilon are TensorFlow's and the image size is the run's: only the manifest says so."""
    sizes = ["model.variant=b1", "model.width=0.5", "data.image_size=32", "data.crop_fraction=0.75"]
    make_checkpoint(tmp_path / "run", load_config("quick", assignments=sizes), ["a", "b"])
    assert mnasnet("export", tmp_path / "run", "--format=timm").code == 0
    weights = tmp_path / "run" / "export" / "timm" / "model.safetensors"
    outcome = mnasnet("import", weights, tmp_path / "back", "--variant=b1", "--width=0.5", "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["preprocessing"].items() >= {"image_size": 32, "crop_fraction": 0.75}.items()
    assert outcome.json["preprocessing"]["interpolation"] == "bilinear"
    assert outcome.json["net"].items() >= {"padding": "same", "batch_norm_epsilon": 1e-3}.items()
    told = ["--set=model.net.padding=symmetric", "--image-size=64"]
    outcome = mnasnet("import", weights, tmp_path / "told", "--variant=b1", "--width=0.5", *told, "--json")
    assert outcome.code == 0, outcome.err
    assert (outcome.json["net"]["padding"], outcome.json["preprocessing"]["image_size"]) == ("symmetric", 64)


@pytest.mark.parametrize("out", [".", "empty", "link", "new"])
def test_where_an_import_goes(small, mnasnet, tmp_path, monkeypatch, out):
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    if out == ".":
        monkeypatch.chdir(tmp_path / "empty")
    else:
        monkeypatch.chdir(tmp_path)
    before = os.stat(out).st_ino if out != "new" else None
    outcome = mnasnet("import", small, out, "--variant=small", f"--width={WIDTH}", "--json")
    assert outcome.code == 0, outcome.err
    assert before in (None, os.stat(out).st_ino)  # a shell may be in it
    assert (outcome.json["model"], [path.name for path in os.scandir(out)]) == (out, ["checkpoints"])
    assert os.path.isfile(outcome.json["checkpoint"] + ".index")
    assert mnasnet("inspect", out).code == 0
    again = mnasnet("import", small, out, "--variant=small", f"--width={WIDTH}")
    assert (again.code, "exists already" in again.err) == (2, True)


def test_the_manifest_of_another_program_is_left_alone(small, mnasnet, tmp_path):
    (tmp_path / "manifest.json").write_text('{"manifest_version": 3}')
    outcome = mnasnet("import", small, tmp_path / "out", "--variant=small", f"--width={WIDTH}", "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["preprocessing"]["interpolation"] == "bicubic"
