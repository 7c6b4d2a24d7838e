import getpass
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from searched import make_plan, result_of, to_the_end, workplace

from mnasnet_cli.errors import ConfigError, EnvironmentProblem
from mnasnet_cli.searching.outcome import outcome_of
from mnasnet_cli.searching.shared_store import SharedStore, connect
from mnasnet_cli.searching.store import FolderStore
from mnasnet_cli.searching.tasks import Task, keyed_task, need
from mnasnet_cli.searching.worker import Worker
from mnasnet_cli.system.documents import Unreadable

TASK = Task("train-1ms-b1-rung1-seed0", "train", {"variant": "b1"})
RESULT = {"score": 0.5, "validation": None, "diverged": False, "seconds": 1.0}


@pytest.fixture(scope="module")
def postgres():
    """The URL of a PostgreSQL server that this test starts; skipped where there is none."""
    if shutil.which("initdb") is None or shutil.which("pg_ctl") is None:
        pytest.skip("PostgreSQL is not installed")
    # Its socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    as_user = []
    if os.geteuid() == 0:  # the server does not run as root
        if shutil.which("runuser") is None:
            pytest.skip("PostgreSQL does not run as root, and there is no runuser")
        shutil.chown(folder, "nobody")
        as_user = ["runuser", "-u", "nobody", "--"]
    user = "nobody" if as_user else getpass.getuser()
    quiet = {"check": True, "capture_output": True, "cwd": folder}
    try:
        subprocess.run([*as_user, "initdb", "-D", folder / "db", "-U", user, "-A", "trust"], **quiet)
        port = 20_000 + os.getpid() % 20_000
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        subprocess.run([*as_user, "pg_ctl", "-D", folder / "db", "-w", "-l", folder / "log", "-o", options, "start"],
                       **{**quiet, "capture_output": False, "stdout": subprocess.DEVNULL})  # fmt: skip
    except (OSError, subprocess.CalledProcessError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        pytest.skip(f"PostgreSQL does not start here: {error}")
    yield f"postgresql://{user}@127.0.0.1:{port}/postgres"
    subprocess.run([*as_user, "pg_ctl", "-D", folder / "db", "-m", "immediate", "stop"], **quiet)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["folder", "journal", "postgres"])
def open_store(request, tmp_path):
    """A function that opens the same store once more, as another process does."""
    if request.param == "folder":
        return lambda: FolderStore(tmp_path / "run")
    storage = tmp_path / "shared" if request.param == "journal" else request.getfixturevalue("postgres")
    return lambda: SharedStore(connect(str(storage)), f"search {tmp_path.name} {request.param}")


def test_a_result_is_seen_by_all(open_store):
    first = open_store()
    assert first.load_plan() is None
    first.begin({"seed": 0})
    second = open_store()
    assert second.load_plan() == {"seed": 0}
    with first.claim(TASK) as ours:
        assert ours
        with second.claim(TASK) as theirs:
            assert not theirs
        first.put(TASK, RESULT)
    assert second.results() == {TASK.key: RESULT}
    with second.claim(TASK) as again:
        assert not again  # it is done


@pytest.mark.parametrize(
    ("key", "content", "fault"),
    [
        (
            "nets-scale-0123abcd",
            '{"ms": [-1.0], "busy": 1.0, "seconds": 1.0}',
            "ms.0: should be greater",
        ),
        ("train-4ms-b1-rung1-seed0", "{}", "it has no 'score'"),
        ("notes", "{}", "is no result of a search"),
    ],
)
def test_a_damaged_result_names_its_file(tmp_path, key, content, fault):
    (tmp_path / "results").mkdir()
    path = tmp_path / "results" / f"{key}.json"
    path.write_text(content)
    with pytest.raises(Unreadable, match=f"{path} .*{fault}.*remove {path}"):
        FolderStore(tmp_path).results()


def test_a_result_with_another_number_of_values_is_refused():
    task = keyed_task("nets-a", "nets", {"nets": [{}, {}]})
    with pytest.raises(Unreadable, match=f"has 1 values of 'ms', expected 2; remove results/{task.key}.json"):
        need({task.key: {"ms": [1.0], "busy": 1.0, "seconds": 1.0}}, [task])


def test_a_damaged_measurement_is_not_done_again_after_trainings(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / f"{TASK.key}.json").write_text(json.dumps(RESULT))
    (tmp_path / "results" / "nets-scale-0123abcd.json").write_text("{")
    with pytest.raises(Unreadable, match="start over with --fresh"):
        FolderStore(tmp_path).results()


def test_a_copy_without_hidden_files_goes_on(tmp_path):
    (tmp_path / "search.json").write_text("{}")
    store = FolderStore(tmp_path)
    with store.claim(TASK) as ours:
        assert ours
        store.put(TASK, RESULT)
    assert FolderStore(tmp_path).results() == {TASK.key: RESULT}


def test_a_damaged_result_in_a_storage_does_not_advise_fresh(tmp_path):
    store = SharedStore(connect(str(tmp_path)), "damaged")
    store.begin({})
    with store.claim(TASK):
        store.put(TASK, {"score": 0.5})
    with pytest.raises(Unreadable, match="choose another --seed or --storage"):
        store.results()


def test_a_damaged_journal_is_one_line(tmp_path):
    store = SharedStore(connect(str(tmp_path)), "search")
    with (tmp_path / "search.journal").open("a") as journal:
        journal.write("damaged\n" * 3)
    with pytest.raises(EnvironmentProblem, match=r"the storage of the search fails: .*; what is done is kept"):
        store.load_plan()
    with pytest.raises(EnvironmentProblem, match=r"the journal of --storage can't be used: .*; choose another folder"):
        connect(str(tmp_path))


def test_a_claim_without_a_result_is_free_again(open_store):
    first, second = open_store(), open_store()
    first.begin({})
    with pytest.raises(KeyError), first.claim(TASK):
        raise KeyError
    with second.claim(TASK) as ours:
        assert ours


@pytest.mark.parametrize("kind", ["folder", "journal", pytest.param("postgres", marks=pytest.mark.slow)])
def test_two_processes_share_a_search(kind, request, tmp_path):
    storage = request.getfixturevalue("postgres") if kind == "postgres" else str(tmp_path / "shared")

    def open_store():
        if kind == "folder":
            return FolderStore(tmp_path / "run")
        return SharedStore(connect(storage), f"{tmp_path.name} both")

    plan, done = make_plan(candidates=3), []
    alone, _ = to_the_end(plan)
    open_store().begin(plan.to_json())
    states = []

    def work(name):
        def do(task, plan, place):
            done.append(task.key)
            return result_of(task)

        states.append(Worker(plan, open_store(), workplace(tmp_path / name), do=do).run())

    threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "other")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == sorted(set(done))
    assert {str(outcome_of(plan, state)) for state in (*states, alone)} == {str(outcome_of(plan, alone))}


KILLED = """
import sys, time
from mnasnet_cli.searching.shared_store import SharedStore, connect
from mnasnet_cli.searching.store import FolderStore
from mnasnet_cli.searching.tasks import Task
from pathlib import Path
task = Task("train-1ms-b1-rung1-seed0", "train", {})
store = FolderStore(Path(sys.argv[1])) if sys.argv[2] == "folder" else SharedStore(connect(sys.argv[1]), "killed")
store.begin({})
with store.claim(task) as ours:
    print("claimed" if ours else "refused", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("kind", ["folder", "journal"])
def test_the_task_of_a_killed_process_is_taken_over(kind, tmp_path):
    folder = tmp_path / "store"
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(folder), kind], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert child.stdout.readline().strip() == "claimed"
    if kind == "folder":
        store = FolderStore(folder)
    else:
        store = SharedStore(connect(str(folder)), "killed", heartbeat=0.2, dead=0.6)
    with store.claim(TASK) as ours:
        assert not ours
    child.kill()
    child.wait()
    ends = time.monotonic() + 20
    while time.monotonic() < ends:
        with store.claim(TASK) as ours:
            if ours:
                break
        time.sleep(0.1)
    assert ours


def test_a_storage_that_is_no_folder_and_no_postgresql_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="expected a folder, or a URL that begins with postgresql://"):
        connect("mysql://me:secret@host/db")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is a file"):
        connect(str(tmp_path / "file"))
    with pytest.raises(ConfigError, match="--storage is empty"):
        connect("")


def test_a_database_that_is_not_there_is_one_line_without_the_password():
    with pytest.raises(EnvironmentProblem, match="the database of --storage can't be used") as raised:
        connect("postgresql://me:secret@127.0.0.1:9/db")
    assert "secret" not in str(raised.value)


def test_the_key_of_a_measurement_depends_on_what_is_measured():
    one, other = (keyed_task("parts-00", "parts", {"parts": [number]}) for number in (1, 2))
    assert one.key != other.key
    assert one.key.startswith("parts-00-")
