"""Registration in TF-Slim's nets_factory, which is a plain namespace here."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from mnasnet_cli.integrations import nets_factory
from mnasnet_cli.nets import mnasnet


@pytest.fixture
def factory():
    return SimpleNamespace(networks_map={"vgg_16": len}, arg_scopes_map={"vgg_16": len})


def test_registration(factory):
    names = nets_factory.register(factory)
    assert nets_factory.register(factory) == names
    assert len(names) == 35  # seven nets, five widths
    assert set(factory.networks_map) == set(factory.arg_scopes_map) == {"vgg_16", *names}
    assert factory.networks_map["mnasnet_b1"] is mnasnet.mnasnet_b1
    assert factory.networks_map["mnasnet_a1_2019_050"] is mnasnet.mnasnet_a1_2019_050
    assert factory.arg_scopes_map["mnasnet_b1"] is mnasnet.training_scope


def test_without_slim():
    with pytest.raises(ImportError, match=r"slim/.*PYTHONPATH"):
        nets_factory.register()


def test_slim_reads_our_labels_and_its_own(factory, tmp_path):
    utils = SimpleNamespace(read_label_file=lambda folder, filename="labels.txt": "slim's")
    for _ in range(2):
        nets_factory.register(factory, utils)
    labels = tmp_path / "labels.txt"
    labels.write_text("n01440764\ttench, Tinca tinca\nn01443537\tgoldfish\n")
    assert utils.read_label_file(str(tmp_path)) == {0: "background", 1: "tench, Tinca tinca", 2: "goldfish"}
    labels.write_text("0:background\n1:tench, Tinca tinca\n")
    assert utils.read_label_file(str(tmp_path)) == "slim's"
    labels.write_text("")
    assert utils.read_label_file(str(tmp_path), "labels.txt") == "slim's"
