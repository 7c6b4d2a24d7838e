"""`mnasnet models`: counts, accuracies, published weights, and faulty flags."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mnasnet_cli.nets.spec import NETS


def test_json(mnasnet):
    result = mnasnet("models", "--json")
    assert result.code == 0, result.err
    variants = {variant["name"]: variant for variant in result.json["variants"]}
    assert list(variants) == list(NETS)
    assert {name: variant["params"] for name, variant in variants.items()} == {
        "a1": 3_887_038,
        "b1": 4_383_312,
        "small": 2_030_264,
        "d1": 3_638_404,
        "a1-2019": 4_321_702,
        "b1-2019": 5_028_744,
        "mobilenet-v2": 3_504_872,
    }
    assert {variant["width"] for variant in variants.values()} == {1.0}
    for name in ("a1", "b1"):
        assert variants[name]["multiply_adds"] == pytest.approx(315e6, rel=0.01)
    (a1,) = variants["a1"]["published"]
    assert (a1["top1"], a1["top5"], a1["image_size"]) == (0.752, 0.925, 224)
    assert "tensorflow/tpu" in a1["source"]
    assert variants["d1"]["published"] == []
    assert variants["b1"]["measured"] is None


def test_width_and_image_size(mnasnet):
    result = mnasnet("models", "--json", "--width", "0.5", "--image-size", "96")
    assert result.code == 0, result.err
    b1 = result.json["variants"][1]
    assert (b1["name"], b1["width"], b1["image_size"], b1["params"]) == ("b1", 0.5, 96, 2_218_512)
    assert [row["top1"] for row in b1["published"]] == [0.67734]


def test_table(mnasnet):
    result = mnasnet("models")
    assert result.code == 0, result.err
    for text in ("a1-2019", "3,887,038", "312.2 M", "75.2 % [1]", "[1] github.com/tensorflow/tpu"):
        assert text in result.out, result.out


def test_the_tables_fit_80_columns(mnasnet, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    out = mnasnet("models").out
    tables = [line for line in out.splitlines() if line.startswith(("│", "┃"))]
    assert max(map(len, tables)) <= 80
    assert "timm/semnasnet_100.rmsp_in1k" in out


def test_the_table_has_no_accuracy_of_another_size(mnasnet):
    result = mnasnet("models", "--image-size", "96")
    assert result.code == 0, result.err
    assert "75.2 %" not in result.out


@pytest.mark.parametrize("arguments", [["--width", "0"], ["--width", "wide"], ["--image-size", "8"]])
def test_bad_flags(mnasnet, arguments):
    result = mnasnet("models", *arguments)
    assert result.code == 2, result.out
    assert result.out == ""
    assert len(result.err.strip().splitlines()) == 1, result.err


def test_needs_no_tensorflow():
    code = "import sys, mnasnet_cli.commands.models; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_published_weights(mnasnet):
    weights = {row["name"]: row for row in mnasnet("models", "--json").json["weights"]}
    torchvision = weights["torchvision/mnasnet1_0"]
    assert torchvision["url"] == "https://download.pytorch.org/models/mnasnet1.0_top1_73.512-f206786ef8.pth"
    assert (torchvision["sha256"], torchvision["licence"], torchvision["top1"]) == (
        "f206786ef8",
        "BSD-3-Clause",
        0.73456,
    )
    assert weights["timm/semnasnet_100.rmsp_in1k"]["others"][0]["sha256"] == "d9418771"
    assert weights["port-2019/ssd-mnasnet-b1-fpn"]["average_precision"] == 0.337
    chosen = mnasnet("models", "--json", "--width", "0.5", "--image-size", "96").json["weights"]
    assert [row["name"] for row in chosen] == ["tpu/mnasnet-a1_d0.5_i96"]


def test_table_of_weights(mnasnet):
    out = mnasnet("models").out
    for text in ("AP 33.7 %", "20 more ", "BSD-3-Clause"):
        assert text in out, out
    assert "https://" not in out
    assert "mnasnet1_3-a4c69d6f.pth" in mnasnet("models", "--long").out
    assert "i96" not in out
    assert "mnasnet-a1_d1.0_i96.tgz" in mnasnet("models", "--image-size", "96", "--long").out
    assert "Published weights" not in mnasnet("models", "--width", "0.4").out
