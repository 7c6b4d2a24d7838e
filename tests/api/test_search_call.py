"""`mnasnet.search`, and what it hands to the search."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mnasnet_cli as mnasnet
from mnasnet_cli.api.searching import FoundNets, request_of
from mnasnet_cli.errors import ConfigError, DataError


def test_numbers_and_text_are_the_same_request() -> None:
    plain = request_of("quick", latency=3, image_size=64, budget=7200.0, data=Path("photos"), init="runs/b1")
    assert plain == request_of(
        "quick", latency=["3ms"], image_size="64", budget="2h", data="photos", init=Path("runs/b1")
    )
    assert (plain.limits_ms, plain.image_sizes, plain.budget_seconds) == ((3.0,), (64,), 7200.0)
    several = request_of(latency=[3, "5ms"], image_size=(64, 96))
    assert (several.limits_ms, several.image_sizes) == ((3.0, 5.0), (64, 96))


def test_settings_are_those_of_the_command_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Any] = []

    def run(request: Any) -> Any:
        asked.append(request)
        raise KeyboardInterrupt

    monkeypatch.setattr("mnasnet_cli.searching.run.search_nets", run)
    with pytest.raises(KeyboardInterrupt):
        mnasnet.search(
            latency=3, run_dir=tmp_path, settings={"optimizer.name": "sgd", "data.progressive": [], "a.b": None}
        )
    assert asked[0].assignments == ('optimizer.name="sgd"', "data.progressive=[]", "a.b=null")


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'soon' is no latency"):
        mnasnet.search(latency="soon", run_dir=tmp_path)
    with pytest.raises(ConfigError, match="expected sizes from 32 to 4096 px"):
        mnasnet.search(latency=3, image_size=[8], run_dir=tmp_path)
    for wrong in ({"candidates": 1}, {"candidates": "5"}, {"threads": 0}, {"seed": -1}):
        with pytest.raises(ConfigError, match=r"must be a whole number from \d, not"):
            mnasnet.search(latency=3, run_dir=tmp_path, **wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"--budget '-5\.000000s' is no duration"):
        mnasnet.search(latency=3, budget=-5, run_dir=tmp_path)
    with pytest.raises(DataError, match="no record folder"):
        mnasnet.search(latency=3, data=tmp_path / "nowhere", run_dir=tmp_path / "run")
    assert callable(mnasnet.search)  # no package of this name hides it once it is imported


def _fronts() -> Iterator[dict[str, Any]]:
    found = {"name": "net-01", "file": "net-01.yaml", "width": 0.8, "image_size": 64}
    stock = {"name": "b1", "file": None, "width": 0.5, "image_size": 96}
    for name in ("net-01", "b1"):
        yield {"recommended": name, "nets": [found, stock]}


def test_the_recommended_nets_are_options_of_a_training() -> None:
    found = FoundNets(Path("runs/search"), {"fronts": [*_fronts()]})
    assert found.recommended == [
        {"variant": str(Path("runs/search/net-01.yaml")), "width": None, "image_size": 64},
        {"variant": "b1", "width": 0.5, "image_size": 96},
    ]
