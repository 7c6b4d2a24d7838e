"""`mnasnet export` as a user meets it: results, exit codes, one line for each fault."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from made_models import classifier_config, detector_config, make_checkpoint

from mnasnet_cli.errors import CheckFailed
from mnasnet_cli.export.exporter import WRITERS
from mnasnet_cli.export.parity import TOLERANCES, Tolerance

pytestmark = pytest.mark.usefixtures("tiny_net")


@pytest.fixture
def run(made_classifier, tmp_path):
    """A copy of `made_classifier`: exports go into it."""
    return Path(shutil.copytree(made_classifier, tmp_path / "run"))


@pytest.fixture
def b1(made_b1, tmp_path):
    """A copy of `made_b1`."""
    return Path(shutil.copytree(made_b1, tmp_path / "b1"))


def test_formats_go_beside_the_run_and_the_table_says_how_they_compare(mnasnet, run):
    outcome = mnasnet("export", run, "--format", "frozen", "--format", "slim-checkpoint", "--parity-images", 2)
    assert outcome.code == 0, outcome.err
    assert (run / "export" / "frozen" / "model.pb").is_file()
    assert (run / "export" / "slim-checkpoint" / "model.ckpt.index").is_file()
    assert "100.0 %" in outcome.out
    assert "generated images" in outcome.out


def test_json_holds_what_the_table_shows(mnasnet, run, tmp_path):
    outcome = mnasnet("export", run, "--format", "frozen", "--out", tmp_path / "out", "--parity-images", 2, "--json")
    assert outcome.code == 0, outcome.err
    (artifact,) = outcome.json["artifacts"]
    assert artifact["path"] == str(tmp_path / "out" / "frozen" / "model.pb")
    assert artifact["ok"] is True
    assert artifact["parity"]["agreement"] == 1.0
    manifest = json.loads((tmp_path / "out" / "frozen" / "manifest.json").read_text())
    assert manifest["signature"]["inputs"] == {"images": {"dtype": "uint8", "shape": [None, None, None, 3]}}
    assert manifest["parity"]["difference"] == artifact["parity"]["difference"]


def test_another_model_is_exit_code_3(mnasnet, run, monkeypatch):
    monkeypatch.setitem(TOLERANCES, "frozen", Tolerance(logits=-1.0, scores=0.0, iou=1.0, agreement=1.0))
    outcome = mnasnet("export", run, "--format", "frozen", "--parity-images", 2)
    assert outcome.code == 3
    assert "not exported: frozen: logits" in outcome.err
    assert "not exported" in outcome.out
    assert not (run / "export").exists()


def test_a_format_that_cannot_be_had_leaves_the_others(mnasnet, run, monkeypatch):
    def unconvertible(job, folder):
        raise CheckFailed("no such operation")

    monkeypatch.setitem(WRITERS, "tflite", unconvertible)
    outcome = mnasnet("export", run, "--format", "tflite", "--format", "frozen", "--parity-images", 2, "--json")
    assert outcome.code == 3, outcome.err
    assert outcome.err.splitlines()[-1] == "error: not exported: tflite: no such operation"
    assert [(one["format"], one["ok"]) for one in outcome.json["artifacts"]] == [("tflite", False), ("frozen", True)]
    assert outcome.json["artifacts"][0]["parity"] is None
    assert [path.name for path in (run / "export").iterdir()] == ["frozen"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "tflite-int8"], "`mnasnet prepare-imagenet`"),
        (["--format", "frozen", "--data", "nowhere"], "nowhere"),
        (["--format", "savedmodel"], "is not one of"),
        (["--format", "frozen", "--out", "run/config.yaml"], "run/config.yaml/frozen: file exists"),
    ],
)
def test_faults_are_one_line_and_leave_nothing(mnasnet, run, monkeypatch, arguments, message):
    monkeypatch.chdir(run.parent)
    (run / "config.yaml").write_text("task: imagenet\n")
    before = sorted(run.iterdir())
    outcome = mnasnet("export", "run", *arguments)
    assert outcome.code == 2, outcome.err
    assert message in outcome.err
    assert len(outcome.lines) == 1
    assert sorted(run.iterdir()) == before


def test_a_state_dict_that_cannot_be_had_is_refused_before_anything_is_written(mnasnet, b1):
    pytest.importorskip("safetensors")
    asked = ["--format", "timm", "--format", "torchvision", "--format", "frozen", "--parity-images", 1]
    outcome = mnasnet("export", b1, *asked)
    assert (outcome.code, len(outcome.lines)) == (2, 1), outcome.err
    assert "torchvision has no such net" in outcome.err
    assert "--format torchvision" in outcome.err
    assert not (b1 / "export").exists()
    refused = mnasnet("export", b1, "--format", "timm", "--format", "tflite-int8")
    assert (refused.code, "--data" in refused.err) == (2, True), refused.err
    assert not (b1 / "export").exists()


@pytest.mark.variation
def test_a_state_dict_and_another_format_in_one_command(mnasnet, b1):
    pytest.importorskip("safetensors")
    both = mnasnet("export", b1, "--format", "timm", "--format", "frozen", "--parity-images", 1, "--json")
    assert both.code == 0, both.err
    assert [(one["format"], one["ok"]) for one in both.json["artifacts"]] == [("frozen", True), ("timm", True)]


@pytest.mark.parametrize(
    "folder",
    ["checkpoints", *(pytest.param(name, marks=pytest.mark.variation) for name in (".", "checkpoints/inner"))],
)
def test_the_run_s_folder_is_found_from_inside_it(mnasnet, run, monkeypatch, folder):
    (run / folder).mkdir(exist_ok=True)
    monkeypatch.chdir(run / folder)
    prefix = {".": "checkpoints/ckpt-7", "checkpoints": "ckpt-7"}.get(folder, "../ckpt-7")
    assert mnasnet("export", prefix, "--format", "frozen", "--parity-images", 1).code == 0
    assert (run / "export" / "frozen" / "model.pb").is_file()


def test_an_artifact_is_no_model_to_export(mnasnet, exported_classifier):
    outcome = mnasnet("export", exported_classifier / "frozen" / "model.pb")
    assert outcome.code == 2
    assert "model.pb is an export (frozen)" in outcome.err


def test_the_newest_run_that_the_records_are_for(mnasnet, tmp_path, monkeypatch, shape_records):
    monkeypatch.chdir(tmp_path)
    for task, config in (("imagenet", classifier_config()), ("coco", detector_config())):  # the newest is the detector
        make_checkpoint(tmp_path / "runs" / task, config, ["1", "2"])
        (tmp_path / "runs" / task / "config.yaml").write_text(f"task: {task}\n")
    arguments = ["--format", "frozen", "--parity-images", 1, "--json"]
    outcome = mnasnet("export", "--data", shape_records, *arguments)
    assert outcome.code == 0, outcome.err
    assert outcome.json["model"] == "runs/imagenet/checkpoints/ckpt-7"


def test_without_a_run_it_says_how_to_make_one(mnasnet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = mnasnet("export")
    assert outcome.code == 2
    assert "there is no trained run in runs/" in outcome.err


def test_state_dicts_have_a_table_of_their_own(mnasnet, b1):
    pytest.importorskip("safetensors")
    outcome = mnasnet("export", b1, "--format", "timm", "--data", "nowhere")  # needs no images
    assert outcome.code == 0, outcome.err
    assert "State dicts of" in outcome.out
    assert "Compared with the checkpoint" not in outcome.out
    assert (b1 / "export" / "timm" / "model.safetensors").is_file()
