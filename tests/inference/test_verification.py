"""Checksums of artifacts."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from mnasnet_cli.errors import CheckpointError
from mnasnet_cli.inference.verification import checksums_of, verify_artifact, verify_export


def _write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"content of {name}")
    sums = {name: dataclasses.asdict(found) for name, found in checksums_of(folder, names).items()}
    (folder / "manifest.json").write_text(json.dumps({"checksums": sums}))


@pytest.mark.parametrize("damaged", ["content of modem.tflite", "short"])
def test_a_damaged_file_is_named(tmp_path: Path, damaged: str) -> None:
    _write(tmp_path, "model.tflite", "index.html")
    verify_artifact(tmp_path / "model.tflite")
    (tmp_path / "index.html").write_text("my own page")
    verify_artifact(tmp_path / "model.tflite")  # nobody opens the page
    with pytest.raises(CheckpointError, match=r"index\.html is damaged or was changed"):
        verify_export(tmp_path / "model.tflite")
    (tmp_path / "model.tflite").write_text(damaged)
    with pytest.raises(CheckpointError, match=r"model\.tflite is damaged .*mnasnet export"):
        verify_artifact(tmp_path / "model.tflite")


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_saved_model_may_have_another_version(tmp_path: Path, version: str) -> None:
    _write(tmp_path, "1/saved_model.pb", "1/variables/variables.index", "1/assets.extra/requests")
    (tmp_path / "1").rename(tmp_path / version)
    assert verify_export(tmp_path / version) == 3
    (tmp_path / version / "assets.extra" / "requests").unlink()
    verify_artifact(tmp_path / version)  # is not needed
    with pytest.raises(CheckpointError, match="requests is missing"):
        verify_export(tmp_path / version)
    (tmp_path / version / "variables" / "variables.index").write_text("content of 1/variables/variables.indey")
    with pytest.raises(CheckpointError, match=r"variables\.index is damaged"):
        verify_artifact(tmp_path / version)


def test_files_of_a_prefix(tmp_path: Path) -> None:
    _write(tmp_path, "model.ckpt.index", "model.ckpt.data-00000-of-00001", "checkpoint")
    verify_artifact(tmp_path / "model.ckpt")
    (tmp_path / "model.ckpt.data-00000-of-00001").write_text("")
    with pytest.raises(CheckpointError, match=r"data-00000-of-00001 is damaged"):
        verify_artifact(tmp_path / "model.ckpt")


@pytest.mark.parametrize("manifest", [None, "{}", "nonsense", '{"checksums": 3}'])
def test_without_checksums_nothing_is_compared(tmp_path: Path, manifest: str | None) -> None:
    (tmp_path / "model.tflite").write_text("of an earlier version")
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest)
    verify_artifact(tmp_path / "model.tflite")
    assert verify_export(tmp_path / "model.tflite") == 0
