"""Run directories: one writer, the same configuration, nothing left half-written."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mnasnet_cli.config.loading import load_config
from mnasnet_cli.config.schema import Config
from mnasnet_cli.errors import ConfigError, DataError, EnvironmentProblem
from mnasnet_cli.runs.directory import RunDirectory, recorded_init
from mnasnet_cli.runs.run_files import read_config, read_metrics

DATA = {"directory": "records", "fingerprint": "abc"}


def open_run(path: Path, config: Config | None = None, data: dict[str, str] = DATA, **options: Any) -> RunDirectory:
    return RunDirectory(path, config or load_config("quick"), data, **{"fresh": False, "writer": True, **options})


def make_run(path: Path, *, checkpoint: bool = True) -> None:
    """Creates a run, with a checkpoint unless told otherwise."""
    run = open_run(path)
    if checkpoint:
        (path / "checkpoints").mkdir()
        (path / "checkpoints" / "ckpt-1.index").write_bytes(b"")
    run.close()


def test_holds_the_configuration_and_the_environment(tmp_path: Path) -> None:
    open_run(tmp_path / "a" / "run", init="other").close()
    assert read_config(tmp_path / "a" / "run") == load_config("quick").model_dump(mode="json")
    environment = json.loads((tmp_path / "a" / "run" / "environment.json").read_text())
    assert environment["data"] == DATA
    assert environment["versions"]["tensorflow"]
    assert recorded_init(tmp_path / "a" / "run") == "other"


def test_a_run_without_a_result_is_removed_with_its_new_folders(tmp_path: Path) -> None:
    open_run(tmp_path / "a" / "b" / "run").close(keep=False)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "empty").mkdir()
    open_run(tmp_path / "empty").close(keep=False)
    assert list((tmp_path / "empty").iterdir()) == []


def test_other_files_stay(tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / ".git").mkdir(parents=True)
    (project / ".env").write_text("SECRET=1")
    (project / ".notes.tmp").write_text("mine")
    run = open_run(project)
    (project / "notes.txt").write_text("written while it trained")
    (project / "checkpoints").mkdir()
    run.note("hello")
    run.close(keep=False)
    assert {path.name for path in project.iterdir()} == {".git", ".env", ".notes.tmp", "notes.txt"}


def test_fresh_does_not_move_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run" / "checkpoints")
    for path in (Path(".."), tmp_path / "run"):
        with pytest.raises(ConfigError, match="--fresh"):
            open_run(path, fresh=True)
    assert (tmp_path / "run" / "config.yaml").exists()


def test_a_run_that_was_there_is_never_removed(tmp_path: Path) -> None:
    make_run(tmp_path / "run", checkpoint=False)
    open_run(tmp_path / "run").close(keep=False)
    assert (tmp_path / "run" / "config.yaml").exists()


def test_a_second_writer_is_refused_also_with_fresh(tmp_path: Path) -> None:
    run = open_run(tmp_path / "run")
    for fresh in (False, True):
        with pytest.raises(ConfigError, match=f"{tmp_path}/run"):
            open_run(tmp_path / "run", fresh=fresh)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    run.close()
    open_run(tmp_path / "run").close()


def test_a_changed_configuration_names_the_keys(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    changed = load_config("quick", assignments=["training.seed=1", "optimizer.name=sgd"])
    with pytest.raises(ConfigError) as caught:
        open_run(tmp_path / "run", changed)
    for key, old, new in (("optimizer.name", "'muon'", "'sgd'"), ("training.seed", "0", "1")):
        assert f"{key} was {old} and is now {new}" in str(caught.value)
    free = load_config("quick", assignments=["training.keep_checkpoints=7", "training.eval_every_epochs=2"])
    open_run(tmp_path / "run", free).close()
    # A run without a checkpoint accepts other settings.
    make_run(tmp_path / "untrained", checkpoint=False)
    open_run(tmp_path / "untrained", changed).close()


def test_more_epochs_are_allowed_unless_the_schedule_depends_on_them(tmp_path: Path) -> None:
    for name, settings, allowed in (
        ("stairs", ["schedule.name=exponential"], True),
        ("cosine", ["schedule.name=cosine"], False),
        ("sizes", ["schedule.name=exponential", "data.progressive=[[0, 0.5], [0.5, 1]]"], False),
    ):
        first = load_config("quick", assignments=settings)
        run = open_run(tmp_path / name, first)
        (tmp_path / name / "checkpoints").mkdir()
        (tmp_path / name / "checkpoints" / "ckpt-1.index").write_bytes(b"")
        run.close()
        longer = load_config("quick", assignments=[*settings, "training.epochs=20"])
        if allowed:
            open_run(tmp_path / name, longer).close()
        else:
            way_on = rf"training\.epochs was 10 and is now 20\); .*--init {tmp_path / name} --run-dir NEW --epochs 20"
            with pytest.raises(ConfigError, match=way_on):
                open_run(tmp_path / name, longer)


def test_changed_records_are_an_error(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    with pytest.raises(DataError, match=r"abc.*xyz"):
        open_run(tmp_path / "run", data={"directory": "records", "fingerprint": "xyz"})


def test_fresh_moves_the_old_run_aside(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    open_run(tmp_path / "run", fresh=True).close()
    [aside] = [path for path in tmp_path.iterdir() if path.name != "run"]
    assert aside.name.startswith("run-")
    assert (aside / "checkpoints" / "ckpt-1.index").exists()
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_file_or_a_folder_of_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with pytest.raises(ConfigError, match=f"{tmp_path}/file"):
        open_run(tmp_path / "file")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("")
    for fresh in (False, True):
        with pytest.raises(ConfigError, match=r"photos .*config\.yaml"):
            open_run(tmp_path / "photos", fresh=fresh)
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["cat.jpg"]


def test_files_of_a_killed_start_are_taken_over(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").write_text("")
    (tmp_path / "run" / ".0123.mnasnet-tmp").write_text("task: im")
    open_run(tmp_path / "run").close()
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [".lock", "config.yaml", "environment.json"]


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"- a list", b"", b"a: [1"])
def test_a_damaged_configuration_is_an_error(tmp_path: Path, content: bytes) -> None:
    make_run(tmp_path / "run")
    (tmp_path / "run" / "config.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"config\.yaml"):
        open_run(tmp_path / "run")


def test_a_damaged_environment_is_ignored(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    (tmp_path / "run" / "environment.json").write_text("{")
    open_run(tmp_path / "run").close()


def test_metrics_of_repeated_steps_are_dropped(tmp_path: Path) -> None:
    run = open_run(tmp_path / "run")
    run.resume_metrics(0)
    for step in (1, 2, 3):
        run.add_metrics(step=step, split="train", loss=0.5)
    run.close()
    with (tmp_path / "run" / "metrics.jsonl").open("ab") as file:
        file.write(b'[]\n{"step": "x"}\n\0\0\0\n' + b"[" * 100_000 + b'\n{"step": "\xff"}\n')
        file.write(b'{"step": 4, "lo')  # killed while writing
    run = open_run(tmp_path / "run")
    assert run.resume_metrics(2) == [{"step": step, "split": "train", "loss": 0.5} for step in (1, 2)]
    run.add_metrics(step=3, split="train", loss=0.25)
    run.close()
    assert [line["loss"] for line in read_metrics(tmp_path / "run")] == [0.5, 0.5, 0.25]


def test_a_run_whose_folder_is_removed_is_a_run_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = open_run(tmp_path / "run", init="other")
    run.resume_metrics(0)
    run.add_metrics(step=1, split="train", loss=0.5)
    shutil.rmtree(tmp_path / "run")
    run.add_metrics(step=2, split="train", loss=0.5)
    run.close()
    assert read_config(tmp_path / "run") == load_config("quick").model_dump(mode="json")
    assert recorded_init(tmp_path / "run") == "other"
    assert [line["step"] for line in read_metrics(tmp_path / "run")] == [2]
    assert "was removed or moved while the run was trained" in " ".join(capsys.readouterr().err.split())


def test_a_run_on_a_full_disk_leaves_nothing(small_disk: Path, fill: Callable[[], Path]) -> None:
    fill()
    with pytest.raises(EnvironmentProblem):
        open_run(small_disk / "run")
    assert os.listdir(small_disk) == ["filler"]


def test_a_run_goes_on_only_with_its_own_net(tmp_path: Path) -> None:
    row = {"repeats": 1, "kernel": 3, "stride": 2, "expand": 1, "channels": 8}

    def config(head: int) -> Config:
        table = {"name": "my-net", "stem": 8, "stages": [row], "head": head}
        return load_config("quick", settings={"model.variant": "my-net", "model.table": table})

    open_run(tmp_path, config(64)).close()
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "ckpt-1.index").write_bytes(b"")
    open_run(tmp_path, config(64)).close()
    for other in (config(72), load_config("quick")):
        with pytest.raises(ConfigError, match=r"model\.table was 'my-net \(\w{8}\)' and is now"):
            open_run(tmp_path, other)


def test_a_time_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    run = open_run(tmp_path / "run")
    (tmp_path / "run" / "time.json").mkdir()
    with pytest.raises(EnvironmentProblem, match=r"time\.json"):
        run.complete(1.0, 2.0)


def test_missing_lines_of_the_log_are_told_at_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = open_run(tmp_path / "run")
    (tmp_path / "run" / "train.log").mkdir()
    run.note("lost")
    assert capsys.readouterr().err == ""
    run.complete(1.0, 2.0)
    assert "lines are missing in" in capsys.readouterr().err


def test_damaged_metrics_are_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "metrics.jsonl").write_text("{\n")
    assert read_metrics(tmp_path) == read_metrics(tmp_path) == []
    assert capsys.readouterr().err.count("a damaged line, which is skipped") == 1
