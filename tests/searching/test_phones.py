import json
from pathlib import Path

import pytest
from searched import CLASSES, SIZE, make_plan, phone_nets, write_phone_results

from mnasnet_cli.config.net_table import NetTable
from mnasnet_cli.errors import ConfigError, DataError
from mnasnet_cli.searching import phones
from mnasnet_cli.searching.nets.entrants import STOCK
from mnasnet_cli.searching.phones import read_phone_nets, write_phone_nets


def test_the_results_are_nets_with_latencies(phone):
    device, nets = read_phone_nets(phone, make_plan())
    assert device == "Acme Phone 5"
    assert [one.ms for one in nets] == pytest.approx([one.ms for one in phone_nets()], abs=1e-3)
    assert nets[3].table == phone_nets()[3].table


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"classes": 1000}, "was measured with classes 1000, but this search has classes 4; write it again"),
        ({"format": "tflite-int8"}, "was measured with format tflite-int8, but this search has format tflite"),
        ({"image_size": 224}, "has no nets for an input of 32 px"),
    ],
)
def test_results_of_other_nets_are_refused(tmp_path, changes, said):
    with pytest.raises(ConfigError, match=said):
        read_phone_nets(write_phone_results(tmp_path / "other", **changes), make_plan())


def test_too_few_results_are_refused(tmp_path):
    with pytest.raises(DataError, match="the results of 9 nets of a search, expected at least 15"):
        read_phone_nets(write_phone_results(tmp_path / "few", count=9), make_plan())


def test_a_damaged_net_is_one_line(phone):
    models = json.loads((phone / "models.json").read_text())
    models["models"]["net-03"]["net"]["stages"] = "none"
    (phone / "models.json").write_text(json.dumps(models))
    with pytest.raises(DataError, match="the net net-03 is not as expected: stages"):
        read_phone_nets(phone, make_plan())


def test_a_net_without_its_image_size_is_one_line(phone):
    models = json.loads((phone / "models.json").read_text())
    del models["models"]["net-03"]["image_size"]
    (phone / "models.json").write_text(json.dumps(models))
    with pytest.raises(DataError, match="the net net-03 is not as expected: it has no 'image_size'"):
        read_phone_nets(phone, make_plan())


def test_some_thirty_nets_are_written_with_their_tables(tmp_path, monkeypatch):
    def convert(function, tables, classes, int8, folder, **_):
        assert classes == CLASSES
        files = [Path(folder) / f"{number}.tflite" for number in range(len(tables))]
        Path(folder).mkdir(parents=True)
        for file in files:
            file.write_bytes(b"TFL3")
        return files

    monkeypatch.setattr(phones, "run_in_process", convert)
    files = write_phone_nets(make_plan(), tmp_path / "phone")
    stored = json.loads((tmp_path / "phone" / "models.json").read_text())["models"]
    assert 29 <= len(files) <= 26 + len(STOCK)
    assert all(file.is_file() for file in files)
    nets = [NetTable.model_validate(one["net"]) for one in stored.values()]
    assert len({net.digest for net in nets}) == len(nets)
    assert {one["image_size"] for one in stored.values()} == {SIZE}
    assert (tmp_path / "phone" / "run.sh").is_file()
