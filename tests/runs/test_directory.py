"""Run directories: one writer, the same configuration, nothing half-written, nothing left behind."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mnasnet_cli.config.loading import load_config
from mnasnet_cli.config.schema import Config
from mnasnet_cli.errors import ConfigError, DataError, EnvironmentProblem
from mnasnet_cli.runs.directory import RunDirectory, read_config, read_metrics, recorded_init

DATA = {"directory": "records", "fingerprint": "abc"}


def open_run(path: Path, config: Config | None = None, data: dict[str, str] = DATA, **options: Any) -> RunDirectory:
    return RunDirectory(path, config or load_config("quick"), data, **{"fresh": False, "writer": True, **options})


def begin(path: Path, *, checkpoint: bool = True) -> None:
    """Leaves a run as a process does that has saved a checkpoint."""
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


def test_a_run_that_came_to_nothing_is_removed_with_the_folders_made_for_it(tmp_path: Path) -> None:
    open_run(tmp_path / "a" / "b" / "run").close(keep=False)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "empty").mkdir()
    open_run(tmp_path / "empty").close(keep=False)
    assert list((tmp_path / "empty").iterdir()) == []


def test_what_others_put_there_stays(tmp_path: Path) -> None:
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


def test_fresh_does_not_move_the_ground_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run" / "checkpoints")
    for path in (Path(".."), tmp_path / "run"):
        with pytest.raises(ConfigError, match="is where this command was started"):
            open_run(path, fresh=True)
    assert (tmp_path / "run" / "config.yaml").exists()


def test_a_run_that_was_there_is_never_removed(tmp_path: Path) -> None:
    begin(tmp_path / "run", checkpoint=False)
    open_run(tmp_path / "run").close(keep=False)
    assert (tmp_path / "run" / "config.yaml").exists()


def test_a_second_writer_is_refused_also_with_fresh(tmp_path: Path) -> None:
    run = open_run(tmp_path / "run")
    for fresh in (False, True):
        with pytest.raises(ConfigError, match="another process is training into"):
            open_run(tmp_path / "run", fresh=fresh)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    run.close()
    open_run(tmp_path / "run").close()


def test_a_changed_configuration_names_the_keys(tmp_path: Path) -> None:
    begin(tmp_path / "run")
    changed = load_config("quick", assignments=["training.seed=1", "optimizer.name=sgd"])
    with pytest.raises(
        ConfigError, match=r"optimizer\.name was 'muon' and is now 'sgd'; training.seed was 0 and is now 1"
    ):
        open_run(tmp_path / "run", changed)
    free = load_config("quick", assignments=["training.keep_checkpoints=7", "training.eval_every_epochs=2"])
    open_run(tmp_path / "run", free).close()
    # Nothing is lost by other settings where nothing was trained.
    begin(tmp_path / "untrained", checkpoint=False)
    open_run(tmp_path / "untrained", changed).close()


def test_more_epochs_only_where_nothing_looks_ahead_to_the_last(tmp_path: Path) -> None:
    for name, settings, allowed in (
        ("stairs", ["schedule.name=exponential"], True),
        ("cosine", ["schedule.name=cosine"], False),
        ("sizes", ["schedule.name=exponential", "data.progressive=[[0, 0.5], [0.5, 1]]"], False),
    ):
        begin_with = load_config("quick", assignments=settings)
        run = open_run(tmp_path / name, begin_with)
        (tmp_path / name / "checkpoints").mkdir()
        (tmp_path / name / "checkpoints" / "ckpt-1.index").write_bytes(b"")
        run.close()
        longer = load_config("quick", assignments=[*settings, "training.epochs=20"])
        if allowed:
            open_run(tmp_path / name, longer).close()
        else:
            with pytest.raises(ConfigError, match=r"training\.epochs was 10 and is now 20"):
                open_run(tmp_path / name, longer)


def test_changed_records_are_an_error(tmp_path: Path) -> None:
    begin(tmp_path / "run")
    with pytest.raises(DataError, match=r"are not those that .* was begun with"):
        open_run(tmp_path / "run", data={"directory": "records", "fingerprint": "xyz"})


def test_fresh_moves_the_old_run_aside(tmp_path: Path) -> None:
    begin(tmp_path / "run")
    open_run(tmp_path / "run", fresh=True).close()
    [aside] = [path for path in tmp_path.iterdir() if path.name != "run"]
    assert aside.name.startswith("run-")
    assert (aside / "checkpoints" / "ckpt-1.index").exists()
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_file_or_a_folder_of_other_things_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with pytest.raises(ConfigError, match="is a file, but a run needs a folder"):
        open_run(tmp_path / "file")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("")
    for fresh in (False, True):
        with pytest.raises(ConfigError, match="holds other files but no run"):
            open_run(tmp_path / "photos", fresh=fresh)
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["cat.jpg"]


def test_what_a_kill_left_at_the_very_beginning_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").write_text("")
    (tmp_path / "run" / ".config.yaml.123.tmp").write_text("task: im")
    open_run(tmp_path / "run").close()
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [".lock", "config.yaml", "environment.json"]


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"- a list", b"", b"a: [1"])
def test_a_damaged_configuration_is_an_error(tmp_path: Path, content: bytes) -> None:
    begin(tmp_path / "run")
    (tmp_path / "run" / "config.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"config\.yaml is damaged"):
        open_run(tmp_path / "run")


def test_a_damaged_environment_is_no_hindrance(tmp_path: Path) -> None:
    begin(tmp_path / "run")
    (tmp_path / "run" / "environment.json").write_text("{")
    open_run(tmp_path / "run").close()


def test_metrics_of_steps_to_be_done_again_are_dropped(tmp_path: Path) -> None:
    run = open_run(tmp_path / "run")
    run.resume_metrics(0)
    for step in (1, 2, 3):
        run.add_metrics(step=step, loss=0.5)
    run.close()
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')  # killed while writing
    run = open_run(tmp_path / "run")
    assert run.resume_metrics(2) == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.5}]
    run.add_metrics(step=3, loss=0.25)
    run.close()
    assert [line["loss"] for line in read_metrics(tmp_path / "run")] == [0.5, 0.5, 0.25]


def test_a_run_that_finds_no_room_leaves_nothing(small_disk: Path, fill: Callable[[], Path]) -> None:
    fill()
    with pytest.raises(EnvironmentProblem):
        open_run(small_disk / "run")
    assert os.listdir(small_disk) == ["filler"]
