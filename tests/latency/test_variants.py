"""Untrained variants: arguments, metadata and the grid; the conversion is in test_measure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mnasnet_cli.errors import CheckpointError
from mnasnet_cli.latency import variants
from mnasnet_cli.nets.spec import NETS, count_parameters, get_spec, multiply_adds


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Replaces the conversion; the list has the arguments of each call."""
    calls: list[tuple[Any, ...]] = []

    def convert(variant: str, width: float, size: int, folder: Path, *, int8: bool = False) -> Path:
        calls.append((variant, width, size, int8))
        return folder / f"{variant}-{width:g}-{size}" / "model.tflite"

    monkeypatch.setattr(variants, "convert_variant", convert)
    return calls


def test_an_existing_path_is_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert variants.is_variant("b1")
    assert not variants.is_variant("runs/b1")
    (tmp_path / "b1").mkdir()
    assert not variants.is_variant("b1")


def test_metadata_and_published_accuracy() -> None:
    found = variants.variant_metadata("a1", 1.0, 224)
    spec = get_spec("a1", 1.0)
    assert (found["variant"], found["width"], found["top1"]) == ("a1", 1.0, 0.752)
    assert (found["params"], found["multiply_adds"]) == (count_parameters(spec, 1000), multiply_adds(spec, 224, 1000))
    assert "tensorflow/tpu" in found["source"]
    assert variants.variant_metadata("a1", 1.0, 100)["top1"] is None


def test_a_variant_is_converted(tmp_path: Path, conversions: list[Any]) -> None:
    case = variants.benchmark_case("small", None, None, tmp_path, int8=True, threads=2)
    assert conversions == [("small", 1.0, 224, True)]
    assert (case.name, case.threads, case.metadata["variant"]) == ("small (random weights)", 2, "small")
    assert Path(case.path).parent.parent == tmp_path
    case = variants.benchmark_case("small", 0.5, 96, tmp_path)
    assert conversions[1:] == [("small", 0.5, 96, False)]
    assert (case.name, case.metadata["width"]) == ("small ×0.5 (random weights)", 0.5)


def test_a_model_is_used_as_it_is(tmp_path: Path, conversions: list[Any]) -> None:
    (tmp_path / "ckpt-1.index").touch()
    for model in (tmp_path, tmp_path / "ckpt-1"):
        case = variants.benchmark_case(str(model), None, 96, tmp_path)
        assert (case.name, case.path, case.image_size, case.metadata) == (str(model), str(model), 96, {})
    assert conversions == []
    with pytest.raises(CheckpointError, match="did you mean 'small'"):
        variants.benchmark_case("smal", None, None, tmp_path)


def test_the_grid_converts_each_net_once(tmp_path: Path, conversions: list[Any]) -> None:
    cases = variants.variant_grid(["small", "b1"], None, None, tmp_path)
    assert conversions == [(name, width, 224, False) for name in ("small", "b1") for width in variants.WIDTHS]
    assert len(cases) == 2 * len(variants.WIDTHS) * len(variants.SIZES)
    assert [case.image_size for case in cases[:4]] == list(variants.SIZES)
    assert all(case.resize_input for case in cases)
    counts = [case.metadata["multiply_adds"] for case in cases[:4]]
    assert counts == sorted(counts)


def test_the_grid_can_be_narrowed(tmp_path: Path, conversions: list[Any]) -> None:
    assert len(variants.variant_grid([], 0.5, 96, tmp_path)) == len(NETS)
    cases = variants.variant_grid(["small"], 0.5, None, tmp_path, resize_input=False)
    assert [case.image_size for case in cases] == [224]
    with pytest.raises(CheckpointError, match=r"runs/x"):
        variants.variant_grid(["runs/x"], None, None, tmp_path)
