"""Nets of one's own: their file, its faults, and how the table travels in a configuration and a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from own_net import TABLE

from mnasnet_cli.config.loading import load_config
from mnasnet_cli.config.net_table import NetTable, net_label, read_net, resolve_variant, stored_net
from mnasnet_cli.errors import ConfigError
from mnasnet_cli.modules.info import model_info
from mnasnet_cli.nets.spec import NETS, count_parameters, get_spec, multiply_adds
from mnasnet_cli.runs.directory import differences


@pytest.mark.parametrize("name", NETS)
def test_a_built_in_table_comes_back_from_its_yaml_as_the_built_in_net(name: str, tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    path.write_text(NetTable.from_spec(NETS[name]).to_yaml())
    assert read_net(path).spec == NETS[name]
    assert resolve_variant(str(path)) == (name, None)
    assert load_config("quick", flags={"model.variant": str(path)}) == load_config(
        "quick", flags={"model.variant": name}
    )


def test_a_file_becomes_a_net(net_file: Path) -> None:
    config = load_config("quick", flags={"model.variant": str(net_file), "model.width": 2.0})
    assert config.model.variant == "my-net"
    spec = config.model.spec
    assert (spec.stem, spec.stages[1].channels, spec.dialect.batch_norm_epsilon) == (16, 32, 1e-5)
    assert spec == get_spec(read_net(net_file).spec, 2.0)
    assert count_parameters(spec, 10) > count_parameters(read_net(net_file).spec, 10)
    assert multiply_adds(spec, 32) > 0


def test_json_is_read_as_well(net_file: Path) -> None:
    path = net_file.with_suffix(".json")
    path.write_text(json.dumps(yaml.safe_load(read_net(net_file).to_yaml())))
    assert read_net(path) == read_net(net_file)


@pytest.mark.parametrize("name", ["1e5", "true", "007", "a.b-c_d", "null"])
def test_a_name_that_yaml_reads_as_something_else_is_quoted(name: str, tmp_path: Path) -> None:
    table = NetTable.model_validate({**yaml.safe_load(TABLE), "name": name, "dialect": {}})
    path = tmp_path / "net.yaml"
    path.write_text(table.to_yaml())
    assert read_net(path) == table


@pytest.mark.parametrize(
    ("old", "new", "facts"),
    [
        ("kernel: 3", "kernel: 4", ["stages.0", "kernel must be odd", "4"]),
        ("channels: 16", "chanels: 16", ["stages.1", "unknown key 'chanels'", "did you mean 'channels'"]),
        ("stem: 8\n", "", ["has no 'stem'"]),
        ("stem: 8", "stem: eight", ["stem: should be a valid integer", "'eight'"]),
        ("stride: 2", "stride: 3", ["stages.1.stride", "less than or equal to 2", "3"]),
        ("repeats: 2", "repeats: 0", ["stages.1.repeats", "greater than or equal to 1", "0"]),
        ("squeeze: 0.25", "squeeze: 2", ["stages.1.squeeze", "2"]),
        ("expand: 3", "expand: true", ["stages.1.expand", "True"]),
        ("relu6", "gelu", ["dialect.activation", "'relu' or 'relu6'", "'gelu'"]),
        ("head: 64", "heads: 64", ["unknown key 'heads'", "did you mean 'head'"]),
        ("name: my-net", "name: b1", ["b1 is a built-in net", "another name"]),
        ("name: my-net", "name: ../x", ["name:", "'../x'"]),
        ("channels: 16", "channels: 16000, skip: true", ["parameters, expected at most"]),
        ("head: 64", "head: 64\nstages: []", ["stages", "at least 1 item"]),
        ("activation: relu6", "unscaled_stages: 3", ["unscaled_stages", "3 of 2"]),
        (TABLE, "", ["holds nothing", "mnasnet models b1 --yaml"]),
        (TABLE, "[1, 2]", ["holds a list", "mnasnet models b1 --yaml"]),
        ("stages:", "stages: [", ["not valid YAML"]),
    ],
)
def test_a_fault_is_one_line_that_names_file_and_key(net_file: Path, old: str, new: str, facts: list[str]) -> None:
    content = TABLE.replace(old, new, 1)
    if "16000" in new:
        content = content.replace("expand: 3", "expand: 64").replace("repeats: 2", "repeats: 100")
    net_file.write_text(content)
    with pytest.raises(ConfigError) as caught:
        resolve_variant(str(net_file))
    message = str(caught.value)
    assert str(net_file) in message
    assert "\n" not in message
    assert all(fact in message for fact in facts), message


def test_a_missing_file_and_an_unknown_name_say_what_was_expected() -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml does not exist.*without the file"):
        load_config("quick", flags={"model.variant": "gone.yaml"})
    with pytest.raises(ConfigError, match=r"--variant: .*unknown variant 'b7'.*net.yaml.*did you mean 'b1'"):
        load_config("quick", flags={"model.variant": "b7"})


def test_the_table_travels_in_the_configuration(net_file: Path) -> None:
    config = load_config("quick", assignments=[f"model.variant={net_file}"])
    net_file.unlink()
    stored = yaml.safe_load(config.to_yaml())
    assert load_config(base=stored) == config
    assert load_config(base=stored, flags={"model.variant": "my-net"}) == config
    assert load_config(base=stored, flags={"model.variant": "b1"}).model.table is None
    with pytest.raises(ConfigError, match="'other', but the table is of 'my-net'"):
        load_config(base=stored, flags={"model.variant": "other"})


def test_two_nets_of_one_name_are_told_apart(net_file: Path) -> None:
    first = load_config("quick", flags={"model.variant": str(net_file)})
    net_file.write_text(TABLE.replace("head: 64", "head: 72"))
    second = load_config("quick", flags={"model.variant": str(net_file)})
    assert first.model.label != second.model.label
    assert first.model.label.startswith("my-net (")
    assert differences(first.comparable(), second.comparable()) == [
        ("model.table", first.model.label, second.model.label)
    ]


def test_the_digest_is_of_the_net_and_not_of_its_name() -> None:
    tree = yaml.safe_load(TABLE)
    tree["dialect"] = {}
    one, other = (NetTable.model_validate({**tree, "name": name}) for name in ("one", "other"))
    assert one.digest == other.digest != NetTable.model_validate({**tree, "head": 72}).digest


def test_a_checkpoint_knows_the_net(net_file: Path) -> None:
    config = load_config("quick", flags={"model.variant": str(net_file), "model.width": 0.5})
    info = json.loads(json.dumps(model_info(config, ["a"], ["a"])))
    assert stored_net(info) == config.model.spec
    assert net_label(info) == config.model.label
    built_in = model_info(load_config("quick"), ["a"], ["a"])
    assert "table" not in built_in
    assert (stored_net(built_in), net_label(built_in)) == (NETS["b1"], "b1")


def test_a_detector_needs_a_net_that_halves_the_image_often_enough(net_file: Path) -> None:
    with pytest.raises(ConfigError, match=r"my-net has no features at stride 8; it has \[2, 4\]"):
        load_config("lite", task="detection", flags={"model.variant": str(net_file)})


def test_a_name_that_no_file_can_have_is_unknown() -> None:
    with pytest.raises(ConfigError, match="unknown variant"):
        load_config("quick", flags={"model.variant": "n" * 300})
    with pytest.raises(ConfigError, match="unknown configuration"):
        load_config("n" * 300)
