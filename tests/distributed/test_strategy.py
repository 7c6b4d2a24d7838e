"""Training on several replicas, in one process or in two: all of them end with the same net."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
from local_cluster import Workers
from onnx_files import write_foreign_onnx
from tiny_net import FLAGS

from mnasnet_cli.config.pre_postprocessing import Preprocessing

# Without random numbers per replica, only batch norm makes a difference between one and two devices.
PLAIN = (*FLAGS, "--epochs=2", "--set=model.dropout=0.0", "--set=data.augment.mixup=0.0")


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


@pytest.fixture(scope="module")
def single_run(shape_records: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same training on one device."""
    workers = Workers(tmp_path_factory.mktemp("single"), ["train-imagenet", *PLAIN, f"--data={shape_records}"])
    workers.start(0, f"--run-dir={workers.folder / 'run'}", addresses=[])
    assert workers.wait(600) == [0], workers.log()
    return workers.folder / "run"


def assert_one_net(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> None:
    """Both hold the same weights, slots, averages and moving statistics, to the last bit."""
    assert len([name for name in first if name.endswith(("/moving_mean", "/moving_variance"))]) > 10
    assert second.keys() == first.keys()
    assert [name for name in first if not np.array_equal(first[name], second[name])] == []


def assert_follows(run: Path, single: Path) -> None:
    """The training loss goes as that of one device on the same batches (batch norm sees half of each)."""
    ours, theirs = (
        [line["loss"] for line in map(json.loads, (path / "metrics.jsonl").open()) if line["split"] == "train"]
        for path in (run, single)
    )
    assert len(ours) == len(theirs) == 12
    assert np.abs(np.subtract(ours, theirs)).mean() < 0.06, (ours, theirs)
    assert np.corrcoef(ours, theirs)[0, 1] > 0.8, (ours, theirs)


@pytest.fixture(scope="module")
def records(shape_records: Path) -> Any:
    """Records that are opened, and whose functions are traced, once."""
    from mnasnet_cli.config.loading import load_config
    from mnasnet_cli.data.imagenet import ImagenetRecords

    return ImagenetRecords(shape_records, load_config("quick"))


@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_every_device_gets_as_many_evaluation_batches(records: Any, replicas: int) -> None:
    from mnasnet_cli.data.pipeline import Share

    batches = [
        list(records.eval_batches(Preprocessing(image_size=32), Share(4, index, 2, replicas))) for index in (0, 1)
    ]
    assert [len(each) for each in batches] == [-(-20 // (2 * 4 * replicas)) * replicas] * 2
    positions = np.concatenate([batch.positions for each in batches for batch in each])
    assert sorted(positions[positions >= 0]) == list(range(20))


def test_a_tpu_that_cannot_be_used_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    from mnasnet_cli.distributed.strategy import make_strategy
    from mnasnet_cli.errors import EnvironmentProblem

    def fail(name: str) -> None:
        raise URLError(f"no such host for {name}")

    monkeypatch.setattr(tf.distribute.cluster_resolver.TPUClusterResolver, "connect", fail)
    monkeypatch.setenv("TPU_NAME", "mine")
    with pytest.raises(EnvironmentProblem, match=r"'mine' of TPU_NAME.*no such host for mine.*unset TPU_NAME"):
        make_strategy()


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
    from mnasnet_cli.checkpoints.files import find_checkpoint
    from mnasnet_cli.checkpoints.reader import read_checkpoint

    saved = read_checkpoint(find_checkpoint(str(run)), ema=False).weights
    held = workers.held(1)
    assert [name for name in saved if not np.array_equal(saved[name], held[name])] == []


@pytest.mark.slow
@pytest.mark.parametrize(("teacher", "replicas"), [("run", 2), ("onnx", 1)])
def test_all_devices_and_processes_ask_the_teacher(
    make_workers: Callable[..., Workers], trained_run: Path, tmp_path: Path, teacher: str, replicas: int
) -> None:
    """A net within the step on two devices of a process, and one in another library in two processes."""
    write_foreign_onnx(tmp_path / "net.onnx")
    model = trained_run if teacher == "run" else tmp_path / "net.onnx"
    workers = make_workers(f"--teacher={model}", "--epochs=1")
    for index in range(3 - replicas):
        addresses: list[str] | None = [] if replicas > 1 else None
        workers.start(index, f"--run-dir={tmp_path / 'run'}", addresses=addresses, replicas=replicas)
    assert set(workers.wait(600)) == {0}, workers.log()
    assert_one_net(workers.held(0, 0), workers.held(0, 1) if replicas > 1 else workers.held(1, 0))
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").open()]
    losses = [line["teacher_loss"] for line in lines if line["split"] == "train"]
    assert len(losses) == 6
    assert min(losses) > 0.0


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
    workers.until(log, "from step", 400)
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
    assert re.findall(r"^(?:[EWIF]\d{4} |WARNING: All log ).*", workers.log(), re.MULTILINE) == []  # of TensorFlow
    assert log.read_text().count("from step") == 3
    assert_one_net(workers.held(0), workers.held(1))
