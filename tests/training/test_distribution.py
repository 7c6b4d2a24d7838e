"""Several replicas: TF_CONFIG, how processes meet, and that all of them hold one and the same net."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_net import FLAGS

from mnasnet_cli.errors import ConfigError, EnvironmentProblem
from mnasnet_cli.training import cluster as clusters
from mnasnet_cli.training.cluster import Cluster, PeerLost, read_cluster, start_again
from mnasnet_cli.training.rendezvous import meet

PROGRAM = Path(__file__).parent / "traced_training.py"
# Without what is drawn for each replica's part of a batch: then only batch norm tells two devices from one.
PLAIN = (*FLAGS, "--epochs=2", "--set=model.dropout=0.0", "--set=data.augment.mixup=0.0")
TWO = ["127.0.0.1:2001", "127.0.0.1:2002"]


def tf_config(addresses: list[str], index: int) -> str:
    return json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})


def free_addresses(count: int) -> list[str]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]


@pytest.mark.parametrize(
    ("config", "addresses", "rank"),
    [
        (None, ("",), 0),
        ({}, ("",), 0),
        ({"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}, ("",), 0),
        ({"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}, ("a:1", "b:1"), 1),
        ({"cluster": {"worker": ["b:1"], "chief": ["a:1"]}, "task": {"type": "chief", "index": 0}}, ("a:1", "b:1"), 0),
        ({"cluster": {"worker": ["b:1"], "chief": ["a:1"]}, "task": {"type": "worker", "index": 0}}, ("a:1", "b:1"), 1),
    ],
)
def test_tf_config(config: Any, addresses: tuple[str, ...], rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", "" if config is None else json.dumps(config))
    assert read_cluster() == Cluster(addresses, rank)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{'cluster'", "it is no JSON"),
        ("[1]", "'list' object has no attribute 'get'"),
        ('{"cluster": {"worker": ["a:1", "b:1"]}}', "'task' is missing"),
        ('{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker"}}', "'index' is missing"),
        ('{"cluster": {"worker": "a:1"}}', "'worker' must be a list of addresses"),
        ('{"cluster": {"worker": ["a", "b:1"]}}', "'a' is not of the form host:port"),
        ('{"cluster": {"worker": ["a:1", "b:99999"]}}', "'b:99999' is not of the form host:port"),
        ('{"cluster": {"worker": ["a:1", "a:1"]}}', "an address is there twice"),
        ('{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}}', "tasks of the type 'ps' are of no use here"),
        (tf_config(TWO, 2), "the task worker 2 is not in the cluster"),
        ('{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": "1"}}', "the task worker 1"),
    ],
)
def test_a_wrong_tf_config_is_one_line_and_exit_2(
    text: str,
    problem: str,
    mnasnet: Callable[..., Any],
    shape_records: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    outcome = mnasnet("train-imagenet", f"--data={shape_records}", f"--run-dir={tmp_path / 'run'}")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1), outcome.err
    assert f"TF_CONFIG is not valid ({problem}" in outcome.err
    assert not (tmp_path / "run").exists()


def meeting(addresses: list[str], whats: list[str]) -> list[str]:
    """What `meet` came to for each process, played by a thread: "" or the message."""
    ends = ["hung"] * len(whats)

    def play(rank: int) -> None:
        try:
            meet(Cluster(tuple(addresses), rank), whats[rank])
            ends[rank] = ""
        except (ConfigError, EnvironmentProblem) as error:
            ends[rank] = f"{type(error).__name__}: {error}"

    threads = [threading.Thread(target=play, args=[rank], daemon=True) for rank in range(len(whats))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return ends


def test_processes_meet() -> None:
    assert meeting(free_addresses(3), ["same"] * 3) == ["", "", ""]


def test_processes_of_another_command_do_not_meet() -> None:
    addresses = free_addresses(2)
    chief, worker = meeting(addresses, ["ours", "theirs"])
    assert chief == worker
    assert chief.startswith(f"ConfigError: the process at {addresses[1]} was started with another configuration")


def test_waiting_for_the_others_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNASNET_WAIT_SECONDS", "0.5")
    addresses = free_addresses(2)
    for rank, missing in ((0, addresses[1]), (1, addresses[0])):
        with pytest.raises(EnvironmentProblem, match=rf"waited 0.5 s in vain for {missing}; start the same command"):
            meet(Cluster(tuple(addresses), rank), "what")
    monkeypatch.setenv("MNASNET_WAIT_SECONDS", "soon")
    with pytest.raises(ConfigError, match="MNASNET_WAIT_SECONDS is 'soon', expected a number of seconds"):
        meet(Cluster(tuple(addresses), 0), "what")


def test_strangers_and_processes_that_die_while_waiting_do_not_count() -> None:
    addresses = free_addresses(3)
    end = threading.Thread(target=lambda: meet(Cluster(tuple(addresses), 0), "what"), daemon=True)
    end.start()
    host, port = addresses[0].split(":")
    for words in (b"GET / HTTP/1.1\r\n\r\n", b'{"rank": 1, "what": "what"}\n'):  # the second one then dies
        for _ in range(100):
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection((host, int(port))) as caller:
                caller.sendall(words)
                time.sleep(0.3)
                break
    others = [
        threading.Thread(target=lambda r=rank: meet(Cluster(tuple(addresses), r), "what"), daemon=True)
        for rank in (1, 2)
    ]
    others[1].start()
    end.join(1.0)
    assert end.is_alive()
    others[0].start()
    for thread in (end, *others):
        thread.join(20)
        assert not thread.is_alive()


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(EnvironmentProblem, match=rf"listen on {address} \(TF_CONFIG\), but can't: address already"):
            meet(Cluster((address, "127.0.0.1:1"), 0), "what")


def test_starting_again_leaves_out_fresh_and_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(clusters.os, "execv", lambda _, words: started.append(words))
    monkeypatch.setattr(clusters.os, "closerange", lambda *_: None)
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "mnasnet_cli", "train-imagenet", "--fresh", "--seed=1"])
    monkeypatch.setenv("MNASNET_RESTARTS", "0")
    for _ in range(clusters.MOST_RESTARTS):
        start_again(PeerLost("gone"), trained_seconds=5.0)
    assert started[0] == [sys.executable, "-m", "mnasnet_cli", "train-imagenet", "--seed=1"]
    with pytest.raises(EnvironmentProblem, match="10 times in a row"):
        start_again(PeerLost("gone"), trained_seconds=5.0)
    start_again(PeerLost("gone"), trained_seconds=3600.0)  # it had gone well for long
    assert os.environ["MNASNET_RESTARTS"] == "1"


@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_every_device_gets_as_many_evaluation_batches(shape_records: Path, replicas: int) -> None:
    from mnasnet_cli.config import load_config
    from mnasnet_cli.data.imagenet import ImagenetRecords
    from mnasnet_cli.data.pipeline import Share

    records = ImagenetRecords(shape_records, load_config("quick"))
    batches = [list(records.eval_batches(32, Share(4, index, 2, replicas))) for index in (0, 1)]
    assert [len(each) for each in batches] == [-(-20 // (2 * 4 * replicas)) * replicas] * 2
    positions = np.concatenate([batch.positions for each in batches for batch in each])
    assert sorted(positions[positions >= 0]) == list(range(20))


class Workers:
    """Processes of one run on this machine; none outlives the test."""

    def __init__(self, folder: Path, arguments: list[str]):
        self.folder, self.arguments = folder, arguments
        self.addresses = free_addresses(2)
        self.running: dict[int, subprocess.Popen[str]] = {}

    def start(self, index: int, *more: str, addresses: list[str] | None = None, replicas: int = 1) -> None:
        config = tf_config(self.addresses if addresses is None else addresses, index)
        environment = {**os.environ, "TF_CONFIG": config, "CUDA_VISIBLE_DEVICES": "-1", "MNASNET_WAIT_SECONDS": "300"}
        with open(self.folder / f"{index}.log", "a") as log:
            self.running[index] = subprocess.Popen(
                [sys.executable, PROGRAM, self.folder / f"{index}.npz", str(replicas), *self.arguments, *more],
                env=environment,
                stdout=log,
                stderr=log,
                text=True,
            )

    def wait(self, seconds: float) -> list[int]:
        """The exit codes, by index."""
        end = time.monotonic() + seconds
        try:
            return [self.running[i].wait(max(1.0, end - time.monotonic())) for i in sorted(self.running)]
        except subprocess.TimeoutExpired:
            pytest.fail(f"still running after {seconds} s; {self.log()}")

    def until(self, path: Path, text: str, seconds: float) -> None:
        """Waits until a file has a text."""
        end = time.monotonic() + seconds
        while not (path.exists() and text in path.read_text()):
            assert time.monotonic() < end, self.log()
            assert all(process.poll() is None for process in self.running.values()), self.log()
            time.sleep(0.05)

    def log(self) -> str:
        return "\n".join(f"== {path.name}\n{path.read_text()}" for path in sorted(self.folder.glob("*.log")))

    def held(self, index: int, replica: int = 0) -> dict[str, np.ndarray]:
        """What a replica of a process held at the end, by name."""
        with np.load(self.folder / f"{index}.npz") as file:
            return {name[2:]: file[name] for name in file.files if name.startswith(f"{replica}/")}


@pytest.fixture
def make_workers(shape_records: Path, tmp_path: Path) -> Iterator[Callable[..., Workers]]:
    made: list[Workers] = []

    def make(*more: str) -> Workers:
        made.append(Workers(tmp_path, ["train-imagenet", *PLAIN, f"--data={shape_records}", *more]))
        return made[-1]

    yield make
    for workers in made:
        for process in workers.running.values():
            process.kill()
            process.wait()


def assert_one_net(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> None:
    """Both hold the same weights, slots, averages and moving statistics, to the last bit."""
    assert len([name for name in first if name.endswith(("/moving_mean", "/moving_variance"))]) > 10
    assert second.keys() == first.keys()
    assert [name for name in first if not np.array_equal(first[name], second[name])] == []


@pytest.fixture(scope="module")
def single_run(shape_records: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same training on one device."""
    workers = Workers(tmp_path_factory.mktemp("single"), ["train-imagenet", *PLAIN, f"--data={shape_records}"])
    workers.start(0, f"--run-dir={workers.folder / 'run'}", addresses=[])
    assert workers.wait(600) == [0], workers.log()
    return workers.folder / "run"


def assert_follows(run: Path, single: Path) -> None:
    """The training loss goes as that of one device on the same batches (batch norm sees half of each)."""
    ours, theirs = (
        [line["loss"] for line in map(json.loads, (path / "metrics.jsonl").open()) if line["split"] == "train"]
        for path in (run, single)
    )
    assert len(ours) == len(theirs) == 12
    assert np.abs(np.subtract(ours, theirs)).mean() < 0.06, (ours, theirs)
    assert np.corrcoef(ours, theirs)[0, 1] > 0.8, (ours, theirs)


@pytest.mark.slow
def test_two_devices_of_one_process(make_workers: Callable[..., Workers], single_run: Path, tmp_path: Path) -> None:
    workers = make_workers(f"--run-dir={tmp_path / 'run'}")
    workers.start(0, addresses=[], replicas=2)
    assert workers.wait(600) == [0], workers.log()
    assert_one_net(workers.held(0, 0), workers.held(0, 1))
    assert_follows(tmp_path / "run", single_run)
    assert json.loads((tmp_path / "run" / "results.json").read_text())["examples"] == 20


@pytest.mark.slow
def test_two_workers_end_with_one_net(make_workers: Callable[..., Workers], single_run: Path, tmp_path: Path) -> None:
    run, unused = tmp_path / "run", tmp_path / "unused"
    workers = make_workers()
    workers.start(0, f"--run-dir={run}", "--json")
    workers.start(1, f"--run-dir={unused}", "--json")
    assert workers.wait(600) == [0, 0], workers.log()
    assert_one_net(workers.held(0), workers.held(1))
    assert_follows(run, single_run)
    assert json.loads((run / "results.json").read_text())["examples"] == 20
    assert not unused.exists()
    assert "all replicas hold the same weights" in (run / "train.log").read_text()
    # What is saved is the common net too.
    from mnasnet_cli.training.checkpoints import find_checkpoint, read_checkpoint

    saved = read_checkpoint(find_checkpoint(str(run)), ema=False).weights
    held = workers.held(1)
    assert [name for name in saved if not np.array_equal(saved[name], held[name])] == []


@pytest.mark.slow
def test_moving_statistics_are_those_of_all_images(make_workers: Callable[..., Workers], tmp_path: Path) -> None:
    """After one step, the first layer's mean over two halves of the batch is the mean that one device finds."""
    workers = make_workers("--batch-size=96", "--epochs=1", "--set=schedule.warmup_epochs=0")
    for index in (0, 1):
        workers.start(index, f"--run-dir={tmp_path / 'two'}")
    assert workers.wait(600) == [0, 0], workers.log()
    two = workers.held(1)
    workers.running.clear()
    workers.start(0, f"--run-dir={tmp_path / 'one'}", addresses=[])
    assert workers.wait(600) == [0], workers.log()
    one = workers.held(0)
    name = "Mnasnet/Conv/BatchNorm/moving_mean"
    assert np.abs(one[name]).max() > 0.01
    np.testing.assert_allclose(two[name], one[name], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_workers_stop_together_and_go_on_when_one_was_killed(
    make_workers: Callable[..., Workers], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    workers = make_workers(f"--run-dir={run}", "--epochs=12")
    state, log = run / "checkpoints" / "checkpoint", run / "train.log"
    for index in (0, 1):
        workers.start(index)
    workers.until(state, "ckpt-6", 400)
    workers.running[1].send_signal(signal.SIGTERM)
    assert workers.wait(200) == [143, 143], workers.log()

    for index in (0, 1):
        workers.start(index)
    workers.until(log, "going on from step", 400)
    workers.until(state, "ckpt-24", 400)
    workers.running[1].kill()
    workers.running[1].wait()
    workers.start(1)
    workers.until(state, "ckpt-48", 400)
    workers.running[0].kill()  # now the chief
    workers.running[0].wait()
    workers.start(0)
    assert workers.wait(600) == [0, 0], workers.log()
    assert workers.log().count("another process of the run is gone") >= 2
    assert log.read_text().count("going on from step") == 3
    assert_one_net(workers.held(0), workers.held(1))
