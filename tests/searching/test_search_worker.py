import contextlib
import json
import threading
import time

import pytest
from searched import make_plan, result_of, to_the_end, workplace

from mnasnet_cli.errors import Stopped
from mnasnet_cli.searching.latency.parts import Part
from mnasnet_cli.searching.outcome import outcome_of, write_front
from mnasnet_cli.searching.scheduler import replay
from mnasnet_cli.searching.store import FolderStore
from mnasnet_cli.searching.tasks import Task
from mnasnet_cli.searching.worker import Running, Worker, seconds_left


def _front(plan, state, folder):
    return write_front(outcome_of(plan, state), folder).read_bytes()


def _store(folder, plan):
    store = FolderStore(folder)
    store.begin(plan.to_json())
    return store


def test_a_search_that_is_killed_anywhere_has_the_same_front(tmp_path):
    plan = make_plan()
    undisturbed, _ = to_the_end(plan)
    expected = _front(plan, undisturbed, workplace(tmp_path / "whole").run_dir)
    place = workplace(tmp_path / "killed")
    kills = 0

    def do(task, plan, place):
        nonlocal kills
        kills += 1
        if kills % 4 == 0:
            raise Stopped("killed")
        return result_of(task)

    while True:
        try:
            state = Worker(plan, _store(place.run_dir, plan), place, do=do).run()
            break
        except Stopped:
            continue
    assert kills > 20
    assert _front(plan, state, place.run_dir) == expected


def test_two_processes_find_what_one_finds_and_do_nothing_twice(tmp_path):
    plan = make_plan()
    alone, _ = to_the_end(plan)
    place, done = workplace(tmp_path / "both"), []

    def do(task, plan, place):
        done.append(task.key)
        return result_of(task)

    states = []
    threads = [
        threading.Thread(target=lambda: states.append(Worker(plan, _store(place.run_dir, plan), place, do=do).run()))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(states) == 2
    assert len(done) == len(set(done))
    fronts = {_front(plan, state, place.run_dir) for state in (*states, alone)}
    assert len(fronts) == 1


def test_two_processes_do_not_measure_at_the_same_time(tmp_path):
    plan, place = make_plan(phone_nets=()), workplace(tmp_path / "both")
    running, measured = [], []

    def do(task, plan, place):
        if task.kind != "parts":
            raise Stopped("the parts are measured")
        running.append(task.key)
        time.sleep(0.05)
        measured.append(len(running))
        running.remove(task.key)
        return {"ms": [Part(**part).cost(plan.classes) / 1e7 for part in task.payload["parts"]], "busy": 1.0,
                "seconds": 1.0}  # fmt: skip

    def work():
        with contextlib.suppress(Stopped):
            Worker(plan, _store(place.run_dir, plan), place, do=do).run()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(measured) > 3
    assert set(measured) == {1}


def test_a_training_that_diverged_is_told(tmp_path, capsys):
    plan, place = make_plan(candidates=2), workplace(tmp_path / "diverged")

    def do(task, plan, place):
        return {**result_of(task), "score": 0.0, "diverged": task.key.startswith("train-4ms-n001-rung1")}

    Worker(plan, _store(place.run_dir, plan), place, do=do).run()
    assert capsys.readouterr().err.count("the training 4ms-n001-rung1-seed0 diverged") == 1


def test_a_machine_that_is_not_the_named_one_measures_nothing(tmp_path):
    plan = make_plan(phone_nets=())
    place = workplace(tmp_path / "other")
    worker = Worker(plan, _store(place.run_dir, plan), place, can_measure=False, do=lambda *_: pytest.fail("measured"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "mnasnet_cli.searching.worker.time.sleep", lambda seconds: (_ for _ in ()).throw(Stopped("waited"))
        )
        with pytest.raises(Stopped, match="waited"):
            worker.run()


def test_a_process_that_waits_for_others_thinks_once(tmp_path, monkeypatch):
    plan, waited, looked = make_plan(phone_nets=()), [], []
    place = workplace(tmp_path / "waits")

    def wait(seconds):
        waited.append(seconds)
        if len(waited) == 5:
            raise Stopped("waited")

    monkeypatch.setattr("mnasnet_cli.searching.worker.time.sleep", wait)
    monkeypatch.setattr("mnasnet_cli.searching.worker.replay", lambda *known: looked.append(1) or replay(*known))
    with pytest.raises(Stopped, match="waited"):
        Worker(plan, _store(place.run_dir, plan), place, can_measure=False).run()
    assert len(looked) == 1


def test_the_measurements_before_the_trainings_are_counted(tmp_path, capsys):
    plan = make_plan(candidates=None, budget_seconds=1200.0)
    place = workplace(tmp_path / "budget")
    store = _store(place.run_dir, plan)
    store.put(Task("parts-00-0123abcd", "parts", {}), {"ms": [], "busy": 1.0, "seconds": 1.0})  # of an earlier process
    Worker(plan, store, place, do=lambda task, plan, place: result_of(task)).run()
    assert "measure latencies: 1 groups in" in capsys.readouterr().err


def test_a_result_file_holds_one_json_object(tmp_path):
    plan = make_plan(candidates=2)
    place = workplace(tmp_path / "files")
    Worker(plan, _store(place.run_dir, plan), place, do=lambda task, plan, place: result_of(task)).run()
    files = sorted((place.run_dir / "results").glob("*.json"))
    assert files
    assert all(json.loads(file.read_text())["seconds"] == 60.0 for file in files)


def test_the_time_left_follows_from_the_trainings_that_are_done():
    plan = make_plan()
    state, found = to_the_end(plan)
    first = dict(list(found.items())[:3])
    assert seconds_left(plan, replay(plan, first), first) > 60 * 10
    assert seconds_left(plan, state, found) == pytest.approx(0, abs=400)


def test_the_time_left_follows_from_the_training_that_runs_too():
    plan = make_plan()
    state, found = to_the_end(plan)
    first = dict(list(found.items())[:3])
    state = replay(plan, first)
    before = seconds_left(plan, state, first)
    assert seconds_left(plan, state, first, Running(0, 0.5, None)) == pytest.approx(before - 30)  # half of 60 s
    late = seconds_left(plan, state, first, Running(0, 0.5, 600.0))
    assert late > 2 * before  # this one takes ten times as long as the others did
    assert seconds_left(plan, state, {}, Running(0, 0.5, 60.0)) > 60 * 10
