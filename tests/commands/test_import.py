"""`mnasnet import`: its result, and that every failure is one line with exit code 2 and leaves no files."""

# ruff: noqa: F811 - the fixture `server` is imported

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from web_server import SHA256, Server, server  # noqa: F401 - a fixture
from weight_files import CLASSES, WIDTH, state_dict, write_safetensors

needs_safetensors = pytest.mark.skipif("not __import__('importlib').util.find_spec('safetensors')")
needs_torch = pytest.mark.skipif("not __import__('importlib').util.find_spec('torch')")


@pytest.fixture
def fails(mnasnet: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., str]:
    """A function that runs a failing import and returns the line of its error."""
    monkeypatch.setenv("MNASNET_CACHE", str(tmp_path / "cache"))

    def run(source: object, *flags: str) -> str:
        outcome = mnasnet("import", source, tmp_path / "out", *flags)
        assert outcome.code == 2, outcome.err
        assert outcome.out == ""
        assert not (tmp_path / "out").exists()
        error = str(outcome.err.splitlines()[-1])
        assert error.startswith("error: ")
        return error

    return run


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@needs_safetensors
def test_the_result_in_json_and_as_a_table(mnasnet: Callable[..., Any], tmp_path: Path) -> None:
    source = write_safetensors(tmp_path / "net.safetensors", state_dict("timm", "small"))
    flags = ["--variant=small", f"--width={WIDTH}", "--set=model.net.padding=same"]
    outcome = mnasnet("import", source, tmp_path / "one", *flags, "--json")
    assert outcome.code == 0, outcome.err
    result = outcome.json
    assert list(result) == [
        "model", "checkpoint", "kind", "variant", "width", "classes", "net", "preprocessing", "source",
    ]  # fmt: skip
    assert (result["model"], result["kind"], result["variant"]) == (str(tmp_path / "one"), "timm", "small")
    assert (result["width"], result["classes"], result["net"]["padding"]) == (WIDTH, CLASSES, "same")
    assert Path(f"{result['checkpoint']}.index").is_file()
    assert result["source"]["file"] == "net.safetensors"
    table = mnasnet("import", source, tmp_path / "two", *flags).out
    for fact in ("EfficientNet", f"small at width {WIDTH}", "padding", "same", "bicubic"):
        assert fact in table


@needs_safetensors
@pytest.mark.parametrize(
    ("flags", "fact"),
    [
        (["--variant=a1"], "--variant small --width 0.35"),
        (["--variant=small", "--set=model.net.padding=left"], "model.net.padding"),
        (["--variant=small", "--labels=none.txt"], "none.txt"),
    ],
)
def test_weights_that_do_not_fit(fails: Callable[..., str], tmp_path: Path, flags: list[str], fact: str) -> None:
    source = write_safetensors(tmp_path / "small.safetensors", state_dict("timm", "small"))
    assert fact in fails(source, *flags, f"--width={WIDTH}")
    assert files(tmp_path) == ["small.safetensors"]


def test_a_cut_download_is_kept(server: Server, fails: Callable[..., str], tmp_path: Path) -> None:
    server.cuts = [300_000, 0, 0]
    assert "300,000 bytes are kept" in fails(server.url, "--variant=b1")
    assert files(tmp_path) == ["net-1.pth.part", "net-1.pth.part.mark"]


def test_a_wrong_checksum(server: Server, fails: Callable[..., str], tmp_path: Path) -> None:
    error = fails(server.url, "--variant=b1", "--sha256=0123456789")
    assert f"{SHA256[:12]}…, expected 0123456789…" in error
    assert files(tmp_path) == []


def test_a_download_that_is_not_a_checkpoint(server: Server, fails: Callable[..., str]) -> None:
    assert "net-1.pth is not a checkpoint" in fails(server.url, "--variant=b1", f"--sha256={SHA256}")


def test_sources_that_cannot_be_downloaded(server: Server, fails: Callable[..., str]) -> None:
    assert "--variant" in fails(server.url)
    assert "did you mean 'torchvision/mnasnet1_3'?" in fails("torchvision/mnasnet13")
    assert "https://" in fails("ftp://host/net.pth", "--variant=b1")
    assert "'xyz'" in fails(server.url, "--variant=b1", "--sha256=xyz")
    server.status = [404]
    assert "404" in fails(server.url, "--variant=b1")


@needs_safetensors
def test_export_to_torchvision_needs_torch(
    mnasnet: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    source = write_safetensors(tmp_path / "net.safetensors", state_dict("torchvision", "b1"))
    assert mnasnet("import", source, tmp_path / "model", "--variant=b1", f"--width={WIDTH}").code == 0
    outcome = mnasnet("export", tmp_path / "model", "--format=torchvision", "--out", tmp_path / "out")
    assert (outcome.code, len(outcome.lines)) == (2, 1), outcome.err
    assert "pip install 'torch>=" in outcome.err
    assert not list((tmp_path / "out").glob("*"))


@needs_torch
def test_export_to_torchvision_is_bit_identical(mnasnet: Callable[..., Any], tmp_path: Path) -> None:
    import torch

    state, path = state_dict("torchvision", "b1", 1.0), tmp_path / "net.pth"
    torch.save({name: torch.from_numpy(value) for name, value in state.items()}, path)
    assert mnasnet("import", path, tmp_path / "model", "--variant=b1").code == 0
    outcome = mnasnet("export", tmp_path / "model", "--format=torchvision", "--out", tmp_path / "out", "--json")
    assert outcome.code == 0, outcome.err
    (artifact,) = outcome.json["artifacts"]
    again = torch.load(artifact["path"], weights_only=True)
    assert again._metadata[""] == {"version": 2}  # without it, torchvision assumes version 1 of its module
    assert again.keys() == state.keys()
    for name, value in state.items():
        assert torch.equal(again[name], torch.from_numpy(value)), name
