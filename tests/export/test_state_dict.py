"""State dicts for torchvision and timm: their tensors, and what comes back when they are imported."""

from __future__ import annotations

import dataclasses
import json
import sys

import numpy as np
import pytest
from weight_files import format_named, random_tensors, state_dict, write_safetensors

from mnasnet_cli.checkpoints.files import find_checkpoint
from mnasnet_cli.checkpoints.reader import read_checkpoint
from mnasnet_cli.commands.import_ import exported_settings
from mnasnet_cli.errors import CheckpointError, EnvironmentProblem
from mnasnet_cli.export import state_dict as state_dicts
from mnasnet_cli.export.state_dict import check_state_dict, to_state_dict, write_state_dict
from mnasnet_cli.inference.manifest import MANIFEST_FILE, ExportedSettings
from mnasnet_cli.weights.importing import import_weights, write_checkpoint
from mnasnet_cli.weights.tensor_files import read_tensors

pytest.importorskip("safetensors")


@pytest.fixture(scope="module")
def trained_here(made_b1):
    """The contents of a checkpoint of our own b1 at width 0.5: TensorFlow's padding and epsilon."""
    return read_checkpoint(find_checkpoint(str(made_b1)))


def _imported(folder, tensors, variant, width=0.5):
    """The contents of a checkpoint that was imported from these tensors of two classes."""
    (folder / "labels.txt").write_text("a\nb\n")
    source = write_safetensors(folder / "source.safetensors", tensors)
    imported = import_weights(str(source), variant, width, labels_file=folder / "labels.txt")
    return read_checkpoint(write_checkpoint(imported, folder / "model"))


def _bits(tensors):
    return {name: value.tobytes() for name, value in tensors.items()}


@pytest.mark.parametrize(
    ("name", "variant", "width", "code"),
    [
        ("torchvision", "b1", 0.5, "torchvision.models.MNASNet(0.5, num_classes=2)"),
        ("timm", "b1", 0.5, "timm.create_model('mnasnet_050', num_classes=2"),
        ("timm", "mobilenet-v2", 0.35, "timm.create_model('mobilenetv2_035', num_classes=2"),
        pytest.param(
            "timm", "a1", 1.4, "timm.create_model('semnasnet_140', num_classes=2", marks=pytest.mark.variation
        ),
    ],
)
def test_imported_weights_come_back_bit_by_bit(tmp_path, name, variant, width, code):
    tensors = state_dict(name, variant, width, classes=2)
    state = to_state_dict(_imported(tmp_path, tensors, variant, width), name)
    assert _bits(state.tensors) == _bits(tensors)
    assert code in state.code
    assert state.version == 2


def test_a_net_of_torchvision_s_first_version_keeps_its_version(tmp_path):
    """Version 1 didn't scale the stem and the first stage."""
    torchvision = format_named("torchvision")
    _, spec = torchvision.candidate_nets("b1", 0.5)[1]
    tensors = random_tensors({rule.theirs: rule.their_shape for rule in torchvision.rules(spec, 2)})
    state = to_state_dict(_imported(tmp_path, tensors, "b1"), "torchvision")
    assert state.version == 1
    assert _bits(state.tensors) == _bits(tensors)  # without counters, as they came


def test_our_own_net_is_described_by_arguments_and_settings(trained_here):
    state = to_state_dict(trained_here, "timm")
    assert "pad_type='same'" in state.code
    assert "bn_eps=0.001" in state.code
    assert state.net.items() >= {"padding": "same", "batch_norm_epsilon": 1e-3}.items()
    counters = {int(value) for key, value in state.tensors.items() if key.endswith("num_batches_tracked")}
    assert counters == {trained_here.step}


def test_torchvision_has_no_net_with_our_padding(trained_here):
    with pytest.raises(CheckpointError) as raised:
        check_state_dict(trained_here, "torchvision")
    for fact in ("torchvision", "padding 'same'", "batch_norm_epsilon 0.001", "--format timm"):
        assert fact in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "facts"),
    [
        ({"task": "detection"}, ["detector"]),
        ({"variant": "d1"}, ["d1", "a1", "b1", "small"]),
        ({"width": 0.35}, ["timm", "b1", "0.35"]),
    ],
)
def test_a_net_that_timm_does_not_have(trained_here, changes, facts):
    contents = dataclasses.replace(trained_here, info={**trained_here.info, **changes}, weights={})
    with pytest.raises(CheckpointError) as raised:
        check_state_dict(contents, "timm")
    for fact in facts:
        assert fact in str(raised.value)


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    contents = _imported(tmp_path, state_dict("torchvision", "b1", 0.5, classes=2), "b1")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(EnvironmentProblem, match=r"torch.*pip install"):
        check_state_dict(contents, "torchvision")


def test_the_manifest_lets_import_restore_the_settings(trained_here, tmp_path):
    artifact = write_state_dict(trained_here, tmp_path, "timm")
    assert artifact.path == tmp_path / "model.safetensors"
    manifest = json.loads((tmp_path / MANIFEST_FILE).read_text())
    assert manifest["code"] == artifact.load_code
    assert (manifest["format"], manifest["kind"], manifest["step"]) == ("timm", "classifier", 7)
    assert (manifest["labels"], manifest["files"]) == (["a", "b"], ["model.safetensors"])
    settings = exported_settings(artifact.path)
    preprocessing = {"image_size": 32, "crop_fraction": 0.75, "interpolation": "bilinear"}
    assert settings.preprocessing.items() >= preprocessing.items()
    assert settings.net.items() >= {"padding": "same", "batch_norm_epsilon": 1e-3}.items()


def test_tensors_that_changed_on_disk_are_an_error(trained_here, tmp_path, monkeypatch):
    def damaged(path):
        tensors, rest = read_tensors(path)
        name = next(iter(tensors))
        return {**tensors, name: tensors[name] + np.float32(1)}, rest

    monkeypatch.setattr(state_dicts, "read_tensors", damaged)
    with pytest.raises(EnvironmentProblem, match=r"model\.safetensors"):
        write_state_dict(trained_here, tmp_path, "timm")


@pytest.mark.parametrize(
    "manifest",
    [
        b'{"manifest_version": 3}',  # of a browser extension
        b"[1, 2]",
        b"\xff\xfe",
        b'{"format": ["timm"], "preprocessing": {}}',
        b'{"format": "timm", "preprocessing": {"image_size": 32}}',
        b'{"format": "timm", "preprocessing": null}',
    ],
)
def test_manifests_of_other_programs_are_ignored(tmp_path, manifest):
    (tmp_path / MANIFEST_FILE).write_bytes(manifest)
    assert exported_settings(tmp_path / "model.safetensors") == ExportedSettings()


@pytest.mark.variation
def test_export_and_import_through_the_commands(mnasnet, shape_records, tmp_path):
    tensors = state_dict("timm", "small", 1.0, classes=4)
    source = write_safetensors(tmp_path / "small.safetensors", tensors)
    model, labels = tmp_path / "model", shape_records / "labels.txt"
    options = ["--variant=small", f"--labels={labels}", "--image-size=32", "--json"]
    imported = mnasnet("import", source, model, *options)
    assert imported.code == 0, imported.err
    scores = mnasnet("eval", "--imagenet-val", model, f"--data={shape_records}", "--json")
    assert scores.code == 0, scores.err
    assert (scores.json["examples"], scores.json["image_size"]) == (20, 32)
    exported = mnasnet("export", model, "--format=timm", "--json")
    assert exported.code == 0, exported.err
    assert exported.json["images"] is None
    (artifact,) = exported.json["artifacts"]
    assert artifact["code"].startswith("timm.create_model('mnasnet_small', num_classes=4")
    stored, _ = read_tensors(artifact["path"])
    assert _bits(stored) == _bits(tensors)
    refused = mnasnet("export", model, "--format=torchvision")
    assert (refused.code, "torchvision" in refused.err, "b1" in refused.err) == (2, True, True)
    slim = mnasnet("export", model, "--format=slim-checkpoint", "--parity-images=1", "--json").json["artifacts"][0]
    for number, path in enumerate([artifact["path"], slim["path"]]):
        back = mnasnet("import", path, tmp_path / f"back-{number}", *options[:2], "--json")
        assert back.code == 0, back.err
        for key in ("net", "preprocessing"):
            assert back.json[key] == imported.json[key]


def test_settings_of_the_command_override_those_of_the_manifest(mnasnet, trained_here, tmp_path):
    path = write_state_dict(trained_here, tmp_path, "timm").path
    flags = ["--variant=b1", "--width=0.5", "--set=model.net.padding=symmetric", "--image-size=64", "--json"]
    outcome = mnasnet("import", path, tmp_path / "back", *flags)
    assert outcome.code == 0, outcome.err
    assert (outcome.json["net"]["padding"], outcome.json["preprocessing"]["image_size"]) == ("symmetric", 64)
