import dataclasses
import json

import pytest
from searched import write_phone_results

from mnasnet_cli.errors import ConfigError, DataError
from mnasnet_cli.searching.opening import Request, open_search, parse_budget, parse_latency, parse_sizes
from mnasnet_cli.searching.tasks import Task

TRAINED = '{"score": 0.5, "validation": null, "diverged": false, "seconds": 1.0}'


@pytest.fixture
def request_of(many_shapes, phone, tmp_path):
    def make(**changes):
        settings = {"data": many_shapes, "limits_ms": (4.0,), "image_sizes": (32,), "phone": phone,
                    "assignments": ("data.eval_scale=1",), "run_dir": tmp_path / "run"}  # fmt: skip
        return Request(**{**settings, **changes})

    return make


@pytest.mark.parametrize(("text", "ms"), [("3ms", 3.0), ("3", 3.0), ("0.5 ms", 0.5), ("800us", 0.8), ("1s", 1000.0)])
def test_latencies(text, ms):
    assert parse_latency(text) == pytest.approx(ms)


@pytest.mark.parametrize("text", ["fast", "-3ms", "0", "3 m", "", "1e3ms"])
def test_latencies_that_are_none(text):
    with pytest.raises(ConfigError, match="expected one such as 3ms"):
        parse_latency(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("2h", 7200), ("90m", 5400), ("1h30m", 5400), ("45min", 2700), ("30s", 30)]
)
def test_budgets(text, seconds):
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["2", "h", "2 weeks", "", "1h foo"])
def test_budgets_that_are_none(text):
    with pytest.raises(ConfigError, match="expected one such as 2h"):
        parse_budget(text)


def test_image_sizes():
    assert parse_sizes("128,160,128") == (128, 160)
    with pytest.raises(ConfigError, match="expected sizes from 32 to 4096 px"):
        parse_sizes("128x128")


def test_a_new_search_writes_its_plan_and_its_records(request_of):
    opened = open_search(request_of())
    assert opened.can_measure
    assert opened.plan.device == "Acme Phone 5"
    assert opened.plan.candidates == 24
    assert 400 < opened.plan.train_images < 500
    assert json.loads((opened.place.run_dir / "search.json").read_text()) == opened.plan.to_json()


def test_the_folder_alone_continues_a_search(request_of):
    first = open_search(request_of(seed=7))
    again = open_search(Request(run_dir=first.place.run_dir))
    assert again.plan == first.plan
    assert open_search(request_of(seed=7)).plan == first.plan


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"limits_ms": (5.0,)}, r"another --latency \(4, now 5\)"),
        ({"seed": 1}, r"another --seed \(0, now 1\)"),
        ({"candidates": 4}, r"another --candidates \(24, now 4\)"),
        ({"image_sizes": (64,)}, r"another --image-size \(32, now 64\)"),
        ({"int8": True}, r"another --int8 \(no, now yes\)"),
        ({"budget_seconds": 60.0}, r"another --budget \(none, now 60\)"),
        ({"assignments": ("training.epochs=5",)}, "another --config or --set; leave it out"),
    ],
)
def test_another_setting_does_not_continue_a_search(request_of, changes, said):
    opened = open_search(request_of())
    (opened.place.run_dir / "results" / "train-4ms-b1-rung1-seed0.json").write_text(TRAINED)
    with pytest.raises(ConfigError, match=f"was begun with {said}"):
        open_search(request_of(phone=None, **changes))


def test_before_the_first_training_most_settings_may_change(request_of, capsys):
    opened = open_search(request_of(limits_ms=(900.0,), budget_seconds=60.0))
    timed = opened.place.run_dir / "results" / "time-900ms-0123abcd.json"
    timed.write_text('{"by_rung": [1.0], "seconds": 1.0}')
    again = open_search(Request(run_dir=opened.place.run_dir, limits_ms=(4.0,), candidates=6))
    assert (again.plan.limits_ms, again.plan.candidates, again.plan.budget_seconds) == ((4.0,), 6, None)
    assert again.plan == dataclasses.replace(opened.plan, limits_ms=(4.0,), candidates=6, budget_seconds=None)
    assert not timed.exists()
    assert (
        "nothing is trained yet: --latency, --candidates changed; what was measured counts" in capsys.readouterr().err
    )
    assert open_search(Request(run_dir=opened.place.run_dir)).plan == again.plan
    for changes in ({"image_sizes": (64,)}, {"threads": 2}):  # the phone's latencies are of others
        with pytest.raises(ConfigError, match="was begun with another"):
            open_search(Request(run_dir=opened.place.run_dir, **changes))


def test_a_search_that_another_process_measures_for_does_not_change(request_of):
    opened = open_search(request_of())
    with opened.store.claim(Task("parts-00-0123abcd", "parts", {})), pytest.raises(ConfigError, match="was begun with"):
        open_search(request_of(limits_ms=(5.0,)))


def test_fresh_moves_the_old_search_aside(request_of, tmp_path):
    open_search(request_of())
    plan = open_search(request_of(seed=1, fresh=True)).plan
    assert plan.seed == 1
    assert len(list(tmp_path.glob("run-*/search.json"))) == 1
    with pytest.raises(ConfigError, match="--fresh does not reach what other machines share"):
        open_search(request_of(fresh=True, storage=str(tmp_path / "shared")))


def test_other_results_of_a_phone_are_one_short_line(request_of, tmp_path):
    open_search(request_of())
    with pytest.raises(ConfigError, match="was begun with another --android-results; leave it out"):
        open_search(request_of(phone=write_phone_results(tmp_path / "other", count=18)))


def test_fresh_moves_nothing_where_the_new_search_cannot_begin(request_of, tmp_path):
    run_dir = open_search(request_of()).place.run_dir
    with pytest.raises(ConfigError, match="--latency is missing"):
        open_search(request_of(limits_ms=(), fresh=True))
    assert (run_dir / "search.json").is_file()
    assert not list(tmp_path.glob("run-*"))


def test_fresh_does_not_move_a_search_that_another_process_works_on(request_of, tmp_path):
    opened = open_search(request_of())
    with (
        opened.store.claim(Task("parts-00-0123abcd", "parts", {})),
        pytest.raises(ConfigError, match=r"another process works on the search in .*; end it before --fresh"),
    ):
        open_search(request_of(fresh=True))
    assert not list(tmp_path.glob("run-*"))


def test_a_batch_that_is_larger_than_the_set_is_refused_before_anything_is_measured(request_of):
    request = request_of(assignments=("data.eval_scale=1", "training.batch_size=512"))
    with pytest.raises(ConfigError, match=r"4\d\d images are left to train on, fewer than the batch size 512"):
        open_search(request)


def test_another_processor_than_the_search_was_begun_on_is_refused(request_of, tmp_path):
    run_dir = open_search(request_of(phone=None)).place.run_dir
    stored = json.loads((run_dir / "search.json").read_text())
    (run_dir / "search.json").write_text(json.dumps({**stored, "device": "Another CPU"}))
    with pytest.raises(
        ConfigError, match=r"was begun on Another CPU, but this is .*: their latencies can't be compared"
    ):
        open_search(Request(run_dir=run_dir))


def test_a_machine_with_another_processor_joins_a_shared_search_for_trainings(request_of, tmp_path, monkeypatch):
    shared = str(tmp_path / "shared")
    first = open_search(request_of(phone=None, storage=shared))
    monkeypatch.setattr("mnasnet_cli.searching.opening.host", lambda packages: {"cpu": {"name": "Another CPU"}})
    joined = open_search(request_of(phone=None, storage=shared, run_dir=tmp_path / "other"))
    assert joined.plan == first.plan
    assert (first.can_measure, joined.can_measure) == (True, False)
    assert (tmp_path / "other" / "records" / "dataset.json").is_file()


def test_another_version_may_draw_other_nets(request_of):
    run_dir = open_search(request_of()).place.run_dir
    stored = json.loads((run_dir / "search.json").read_text())
    (run_dir / "search.json").write_text(json.dumps({**stored, "version": "9.9"}))
    with pytest.raises(ConfigError, match=r"was begun with mnasnet 9.9"):
        open_search(Request(run_dir=run_dir))


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"limits_ms": ()}, ConfigError, "--latency is missing"),
        ({"candidates": 4, "budget_seconds": 60.0}, ConfigError, "--candidates and --budget exclude each other"),
        ({"assignments": ("training.epochs=2",)}, ConfigError, "training.epochs=2 is too few to compare nets"),
        ({"assignments": ("training.batch_size=auto",)}, ConfigError, "training.batch_size=auto may differ"),
        ({"recipe": "quik"}, ConfigError, "did you mean 'quick'"),
    ],
)
def test_what_contradicts_is_refused_before_anything_is_written(request_of, changes, error, said):
    request = request_of(**changes)
    with pytest.raises(error, match=said):
        open_search(request)
    assert not request.run_dir.exists()


def test_too_few_images_are_refused_before_anything_is_written(request_of, shape_records):
    request = request_of(data=shape_records)
    with pytest.raises(DataError, match="too few for a search"):
        open_search(request)
    assert not request.run_dir.exists()


def test_a_folder_with_other_files_is_refused(request_of):
    request = request_of()
    request.run_dir.mkdir()
    (request.run_dir / "card.html").write_text("the page of a run")
    for fresh in (False, True):
        with pytest.raises(ConfigError, match=r"holds other files and no search \(search.json is missing\)"):
            open_search(dataclasses.replace(request, fresh=fresh))
    assert [path.name for path in request.run_dir.iterdir()] == ["card.html"]


def test_fresh_does_not_move_the_current_folder(request_of, monkeypatch):
    run_dir = open_search(request_of()).place.run_dir
    monkeypatch.chdir(run_dir)
    with pytest.raises(ConfigError, match=r"--fresh would move .* aside, but it holds the current folder"):
        open_search(request_of(fresh=True))
    assert (run_dir / "search.json").is_file()


def test_a_damaged_plan_is_one_line(request_of):
    run_dir = open_search(request_of()).place.run_dir
    (run_dir / "search.json").write_text("{")
    with pytest.raises(DataError, match=r"search.json is not valid JSON: .*; start over with --fresh"):
        open_search(Request(run_dir=run_dir))


def test_the_name_of_a_shared_search_depends_on_the_settings_only(request_of):
    plan = open_search(request_of()).plan
    assert dataclasses.replace(plan, data="elsewhere", device="other").name == plan.name
    assert dataclasses.replace(plan, seed=1).name != plan.name


def test_the_folder_of_a_shared_search_takes_no_other(request_of, tmp_path):
    shared = str(tmp_path / "shared")
    run_dir = open_search(request_of(storage=shared)).place.run_dir
    for request in (Request(run_dir=run_dir), request_of()):
        with pytest.raises(ConfigError, match="belongs to a search with --storage; repeat its whole command"):
            open_search(request)
    assert open_search(request_of(storage=shared, seed=1)).plan.seed == 1  # nothing is trained yet
    (run_dir / "trainings" / "4ms-b1-rung1-seed0").mkdir(parents=True)
    with pytest.raises(ConfigError, match="holds trainings of a search with other settings or images"):
        open_search(request_of(storage=shared, seed=2))
    assert open_search(request_of(storage=shared, seed=1)).plan.seed == 1


def test_a_search_of_one_folder_does_not_become_a_shared_one(request_of, tmp_path):
    open_search(request_of())
    with pytest.raises(ConfigError, match="holds a search without --storage; choose another --run-dir"):
        open_search(request_of(storage=str(tmp_path / "shared")))
