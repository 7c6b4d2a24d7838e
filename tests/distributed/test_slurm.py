"""The tasks of a Slurm step as a cluster. The variables are those that `srun` sets; no Slurm is needed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from local_cluster import tf_config

from mnasnet_cli.distributed.cluster import Cluster, read_cluster
from mnasnet_cli.errors import ConfigError

STEP = {
    "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_STEP_NODELIST": "node[01-02]",
    "SLURM_STEP_TASKS_PER_NODE": "1(x2)",
    "SLURM_PROCID": "1",
}


@pytest.fixture
def set_step(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the variables of a step of two tasks on two machines, with changes; None removes a variable."""

    def change(**variables: str | None) -> None:
        for name in [name for name in os.environ if name.startswith("SLURM")] + ["TF_CONFIG"]:
            monkeypatch.delenv(name, raising=False)
        for name, value in {**STEP, **variables}.items():
            if value is not None:
                monkeypatch.setenv(name, value)

    return change


def test_one_task_on_each_machine(set_step: Callable[..., None]) -> None:
    set_step()
    assert read_cluster() == Cluster(("node01:12000", "node02:12000"), 1)
    assert "TF_CONFIG" not in os.environ


def test_tasks_of_one_machine_have_ports_of_their_own(set_step: Callable[..., None]) -> None:
    set_step(
        SLURM_STEP_NUM_TASKS="3",
        SLURM_STEP_NODELIST="gpu[1,7]",
        SLURM_STEP_TASKS_PER_NODE="2,1",
        SLURMD_NODENAME="gpu1",
        SLURM_LOCALID="1",
    )
    assert read_cluster() == Cluster(("gpu1:12000", "gpu1:12001", "gpu7:12000"), 1)


def test_jobs_have_ports_of_their_own(set_step: Callable[..., None]) -> None:
    ports = set()
    for job in range(4_000_000, 4_000_256):
        set_step(SLURM_JOB_ID=str(job))
        ports.add(int(read_cluster().addresses[0].rpartition(":")[2]))
    assert len(ports) == 256
    assert 1024 < min(ports) < max(ports) < 32_768 - 64


@pytest.mark.parametrize(("host", "local", "rank"), [("n10", "0", 0), ("n10", "1", 1), ("n9", "0", 2), ("n9", "1", 3)])
def test_the_host_decides_where_slurm_orders_hosts_differently(
    host: str, local: str, rank: int, set_step: Callable[..., None]
) -> None:
    # Slurm's rank 0 is on n9. With a cyclic distribution, rank 1 is on n10.
    set_step(
        SLURM_STEP_NUM_TASKS="4",
        SLURM_STEP_NODELIST="n[9-10]",
        SLURM_STEP_TASKS_PER_NODE="2(x2)",
        SLURMD_NODENAME=host,
        SLURM_LOCALID=local,
    )
    found = read_cluster()
    assert found.addresses == ("n10:12000", "n10:12001", "n9:12000", "n9:12001")
    assert found.rank == rank


@pytest.mark.parametrize("count", ["1", "", "many", None])
def test_a_single_task_trains_alone(count: str | None, set_step: Callable[..., None]) -> None:
    # `sbatch` without `srun` sets SLURM_NTASKS, but not the variables of a step.
    set_step(SLURM_STEP_NUM_TASKS=count, SLURM_NTASKS="2")
    assert read_cluster() == Cluster()


def test_tf_config_goes_first(set_step: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    set_step()
    monkeypatch.setenv("TF_CONFIG", tf_config(["a:1", "b:1"], 0))
    assert read_cluster() == Cluster(("a:1", "b:1"), 0)
    monkeypatch.setenv("TF_CONFIG", "{}")  # each task trains alone
    assert read_cluster() == Cluster()


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"SLURM_PROCID": None}, "SLURM_PROCID"),
        ({"SLURM_PROCID": "7"}, "SLURM_PROCID"),
        ({"SLURM_STEP_NODELIST": None}, "SLURM_STEP_NODELIST"),
        ({"SLURM_STEP_NODELIST": "node[01"}, "node[01"),
        ({"SLURM_STEP_TASKS_PER_NODE": "3"}, "assigned"),
        ({"SLURM_STEP_TASKS_PER_NODE": "one"}, "one"),
        ({"SLURMD_NODENAME": "other"}, "other"),
    ],
)
def test_wrong_variables_are_one_line(changes: dict[str, str | None], fact: str, set_step: Callable[..., None]) -> None:
    set_step(**changes)
    with pytest.raises(ConfigError) as caught:
        read_cluster()
    assert fact in str(caught.value)
    assert "srun" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_wrong_variables_end_a_training_with_exit_2(
    set_step: Callable[..., None], mnasnet: Callable[..., Any], shape_records: Path, tmp_path: Path
) -> None:
    set_step(SLURM_STEP_TASKS_PER_NODE="one")
    outcome = mnasnet("train-imagenet", f"--data={shape_records}", f"--run-dir={tmp_path / 'run'}")
    assert outcome.code == 2, outcome.err
    assert "Slurm" in outcome.err
    assert not (tmp_path / "run").exists()


def test_tensorflow_and_a_restarted_process_get_the_same_cluster(
    set_step: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_step()
    before = read_cluster()
    written = json.loads(before.tf_config())
    assert written == json.loads(tf_config(["node01:12000", "node02:12000"], 1))
    monkeypatch.setenv("TF_CONFIG", before.tf_config())  # as make_strategy does
    assert read_cluster() == before


# TensorFlow is imported once, which takes seconds, and starts in each task.
TWO_TASKS = """
import os, sys
from mnasnet_cli.distributed.cluster import read_cluster
from mnasnet_cli.distributed.rendezvous import meet
from mnasnet_cli.distributed.strategy import Processes, make_strategy

def play(rank):
    os.environ |= {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)}
    meet(read_cluster(), "same")
    strategy = make_strategy()
    processes = Processes(strategy)
    texts = processes.exchange("test", f"text{rank}")
    print("found", rank, strategy.num_replicas_in_sync, processes.chief, texts, flush=True)
    sys.exit()

tasks = []
for rank in (0, 1):
    task = os.fork()
    if not task:
        play(rank)
    tasks.append(task)
sys.exit(any(os.waitpid(task, 0)[1] for task in tasks))
"""


def test_two_tasks_find_each_other(set_step: Callable[..., None]) -> None:
    set_step(
        SLURM_STEP_NODELIST="localhost", SLURM_STEP_TASKS_PER_NODE="2", SLURM_JOB_ID=str(os.getpid()),
        SLURMD_NODENAME="localhost",
    )  # fmt: skip
    program = subprocess.Popen(
        [sys.executable, "-c", TWO_TASKS],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = program.communicate(timeout=200)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
    assert program.returncode == 0, err
    for rank, chief in enumerate((True, False)):
        assert f"found {rank} 2 {chief} ['text0', 'text1']" in out, err
