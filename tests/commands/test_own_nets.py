"""A net of one's own through the commands; after its checkpoint is written, the file is gone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from made_models import make_checkpoint
from own_net import TABLE

from mnasnet_cli.api.catalogue import models
from mnasnet_cli.config.distillation import TeacherInputConfig
from mnasnet_cli.config.loading import load_config
from mnasnet_cli.config.net_table import net_label, read_net
from mnasnet_cli.errors import CheckpointError
from mnasnet_cli.inference.manifest import parse_manifest, read_manifest
from mnasnet_cli.latency import variants
from mnasnet_cli.nets.spec import NETS, count_parameters, get_spec
from mnasnet_cli.system.documents import Unreadable
from mnasnet_cli.training.distillation.formats import find_model

LABELS = ["a", "b", "c", "d"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a checkpoint of the net, whose file is gone."""
    folder = tmp_path_factory.mktemp("own_nets")
    (folder / "net.yaml").write_text(TABLE)
    config = load_config(flags={"model.variant": str(folder / "net.yaml"), "data.image_size": 32})
    (folder / "net.yaml").unlink()
    make_checkpoint(folder / "run", config, LABELS)
    return folder / "run"


def test_models_counts_the_nets_of_files(mnasnet: Any, net_file: Path) -> None:
    result = mnasnet("models", net_file, "b1", "--width", "0.5", "--json")
    assert result.code == 0, result.err
    mine, b1 = result.json["variants"]
    table = read_net(net_file)
    assert (mine["name"], mine["table"], mine["published"]) == ("my-net", table.digest, [])
    assert mine["params"] == count_parameters(get_spec(table.spec, 0.5))
    assert (b1["name"], "table" in b1) == ("b1", False)
    assert {weights["variant"] for weights in result.json["weights"]} == {"b1"}
    assert models([net_file])["variants"][0]["params"] == count_parameters(table.spec)


def test_a_printed_table_is_taken_back(mnasnet: Any, tmp_path: Path) -> None:
    path = tmp_path / "printed.yaml"
    path.write_text(mnasnet("models", "d1", "--yaml").out)
    assert read_net(path).spec == NETS["d1"]
    path.write_text(mnasnet("models", "d1", "--yaml", "--width", "0.5").out)
    table, scaled = read_net(path), get_spec("d1", 0.5)
    assert (table.name, table.spec.stages, table.spec.stem) == ("d1-x0.5", scaled.stages, scaled.stem)
    for arguments in (("--yaml",), ("a1", "b1", "--yaml"), ("a1", "--yaml", "--json")):
        assert mnasnet("models", *arguments).code == 2


def test_inspect_shows_the_blocks(mnasnet: Any, net_file: Path) -> None:
    found = mnasnet("inspect", net_file, "--json").json
    assert (found["what"], found["name"], found["taps"]) == ("net", "my-net", {"2": "layer_2", "4": "layer_4"})
    assert [layer["out_channels"] for layer in found["layers"]] == [8, 16, 16]
    assert "my-net (" in mnasnet("inspect", net_file).out
    net_file.write_text(TABLE.replace("kernel: 3", "kernel: 4"))
    result = mnasnet("inspect", net_file)
    assert result.code == 2
    assert "kernel must be odd" in result.err


def test_benchmark_tells_nets_of_one_name_apart(net_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = []

    def write(loaded: Any, target: Path, noise: Any) -> Any:
        folders.append(target.name)
        raise CheckpointError("stop here")

    monkeypatch.setattr("mnasnet_cli.export.tflite.converter.write_tflite", write)
    assert variants.is_variant(str(net_file))
    for table in (TABLE, TABLE.replace("head: 64", "head: 72")):
        net_file.write_text(table)
        with pytest.raises(CheckpointError, match="stop here"):
            variants.benchmark_case(str(net_file), 0.5, 32, net_file.parent)
        assert variants.variant_metadata(str(net_file), 0.5, 32)["variant"] == read_net(net_file).label
    assert len(set(folders)) == 2
    (net_file.parent / "runs").mkdir()
    assert not variants.is_variant(str(net_file.parent / "runs"))


def test_the_checkpoint_is_enough(mnasnet: Any, run: Path) -> None:
    found = mnasnet("inspect", run / "checkpoints" / "ckpt-7", "--json").json
    assert (found["variant"], found["table"]["head"]) == ("my-net", 64)
    assert find_model(str(run), TeacherInputConfig(), 32).net == f"{net_label(found)}, width 1"
    refused = mnasnet("export", run, "--format=torchvision")
    assert refused.code == 2
    assert "holds my-net (" in refused.err
    assert "torchvision has only b1 and mobilenet-v2" in refused.err
    result = mnasnet("export", run, "--format=slim-checkpoint", "--out", run / "out", "--json")
    assert result.code == 0, result.err
    artifact = run / "out" / "slim-checkpoint" / "model.ckpt"
    assert read_manifest(artifact).table == found["table"]
    assert net_label(vars(read_manifest(artifact))) == net_label(found)
    (run / "labels.txt").write_text("\n".join(LABELS) + "\n")
    arguments = ("import", artifact, run / "back", f"--labels={run / 'labels.txt'}")
    result = mnasnet(*arguments, "--variant=my-net", "--json")
    assert result.code == 0, result.err
    assert mnasnet("inspect", run / "back", "--json").json["table"] == found["table"]
    other = mnasnet(*arguments, "--variant=my-nets")
    assert other.code == 2
    assert "unknown variant 'my-nets'" in other.err


def test_a_damaged_table_in_a_manifest_names_the_key() -> None:
    tree = {
        "format": "tflite", "kind": "classifier", "variant": "my-net", "width": 1.0, "labels": ["a"], "names": ["a"],
        "preprocessing": {"image_size": 224}, "postprocessing": None, "source": "ckpt-1", "step": 1, "averaged": False,
        "table": {"name": "my-net", "stem": 8, "stages": []},
    }  # fmt: skip
    with pytest.raises(Unreadable, match=r"the table in manifest\.json .*stages"):
        parse_manifest(json.dumps(tree))


def test_weights_of_another_table_are_refused(mnasnet: Any, run: Path, shape_records: Path, net_file: Path) -> None:
    net_file.write_text(TABLE.replace("head: 64", "head: 72"))
    folders = (f"--data={shape_records}", f"--run-dir={net_file.parent / 'new'}", f"--init={run}")
    result = mnasnet("train-imagenet", f"--variant={net_file}", "--config=quick", "--image-size=32", *folders)
    assert result.code == 2
    assert re.search(r"holds my-net \(\w{8}\).*this run trains my-net \(\w{8}\)", result.err), result.err
    assert not (net_file.parent / "new").exists()
